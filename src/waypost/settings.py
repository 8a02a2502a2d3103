"""The settings: read once at start, validated whole, each with the place it came from.

A command-line flag wins over the environment, the environment over `waypost.toml`, the file over the default. The
commented `waypost.default.toml` beside this module is the reference for readers; a test holds that it names every
setting. Secrets never appear in `repr`, in errors or in what `shown` gives. The two secrets that a first start makes
for itself are in `secret_files.py`.
"""

import base64
import binascii
import ipaddress
import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Generic, Literal, TypeVar
from urllib.parse import SplitResult, urlsplit

from waypost.mail_server import read_mail_server

CONFIG_FILE = Path("waypost.toml")
DEFAULTS_FILE = Path(__file__).with_name("waypost.default.toml")
ENVIRONMENT_PREFIX = "WAYPOST_"
SECRET_KEY_BYTES = 32
OPERATOR_TOKEN_LENGTH_MIN = 16  # 96 bits when drawn from base64: not to be guessed over the network
RETENTION_DAYS_DEFAULT = 30
RETENTION_DAYS_OWED_DEFAULT = 90
RETENTION_DAYS_MAX = 36_500
RATE_PER_MINUTE_MAX = 10_000_000
HIDDEN = "(hidden)"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LogFormat = Literal["console", "json"]
Source = Literal["flag", "environment", "waypost.toml", "default"]
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class SettingsError(Exception):
    """A setting is wrong; the message is one line that names the key, the value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Setting(Generic[T_co]):
    """One setting: its name, how its text is read (ValueError when wrong), and what is allowed, in words."""

    name: str
    read: Callable[[str], T_co]
    allowed: str
    secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable of this setting."""
        return ENVIRONMENT_PREFIX + self.name.upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the service is told from outside.

    `secret_key` (32 bytes) and `operator_token` are None when nobody gave them: the first start makes them, see
    `secret_files.open_secrets`. `api_rate_per_minute` None means that API tokens are not limited. `oidc_issuer` None
    means that nobody signs in by an identity provider. `sources` says for each name where its value came from.
    """

    data_dir: Path
    database_url: str = field(repr=False)
    host: str
    port: int
    public_url: str
    operator_token: str | None = field(repr=False)
    secret_key: bytes | None = field(repr=False)
    egress_allow: tuple[Network, ...]
    smtp_url: str | None = field(repr=False)
    retention_days: int
    retention_days_owed: int
    log_format: LogFormat
    metrics_public: bool
    api_rate_per_minute: int | None
    trusted_proxies: tuple[Network, ...] = ()
    oidc_issuer: str | None = None
    oidc_client_id: str | None = None
    oidc_client_secret: str | None = field(default=None, repr=False)
    sources: Mapping[str, Source] = field(repr=False)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file of this machine."""
        return self.database_url.startswith("sqlite:")

    @property
    def local_url(self) -> str:
        """Where this machine reaches the service, whatever address the world sees."""
        return f"http://{_in_url(_reachable(self.host))}:{self.port}"

    def shown(self, name: str) -> str:
        """The value of `name` for a person to read: secrets hidden, passwords in URLs too, `–` for none."""
        value = getattr(self, name)
        if value is None or value == ():
            return "–"
        if name in SECRET_NAMES:
            return without_password(str(value)) if name.endswith("_url") else HIDDEN
        if isinstance(value, tuple):
            return ",".join(map(str, value))
        return str(value).lower() if isinstance(value, bool) else str(value)


def without_password(url: str) -> str:
    """The URL with `***` in place of its password, and without its query, which may hold one too."""
    return re.sub(r"(://[^/@:]*):[^/]*@", r"\1:***@", url.partition("?")[0])


# --- How the text of each setting is read. ValueError is turned into a SettingsError by `_Lookup`.


def _folder(text: str) -> Path:
    if "\0" in text:
        raise ValueError(text)
    return Path(text).expanduser().resolve()


def _database_url(text: str) -> str:
    scheme, _, rest = text.partition("://")
    if scheme == "sqlite":
        path = rest.removeprefix("/").partition("?")[0]
        # A database in memory would forget what was acknowledged.
        if not rest.startswith("/") or not path or path == ":memory:" or path.startswith("file:"):
            raise ValueError(text)
        return text
    if scheme not in {"postgresql", "postgresql+psycopg"} or not rest:
        raise ValueError(text)
    return text


def _host(text: str) -> str:
    bare = text.removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        if not re.fullmatch(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*", text):
            raise
        return text


class _Explained(ValueError):
    """What is wrong with a value that is no secret, in words."""


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        # int() alone would take "1_000", " 8 " and digits of other scripts.
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(text)
        return int(text)

    return read


def _url(text: str, schemes: set[str]) -> SplitResult:
    parts = urlsplit(text)
    if parts.scheme not in schemes or not parts.hostname or re.search(r"[\s\x00-\x1f]", text):
        raise ValueError(text)
    _ = parts.port  # raises ValueError when it is not a port
    return parts


def _public_url(text: str) -> str:
    parts = _url(text, {"http", "https"})
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(text)
    return text.rstrip("/")


def _issuer(text: str) -> str:
    parts = _url(text, {"https", "http"})
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(text)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError(text)
    return text


def _visible_text(text: str) -> str:
    if not re.fullmatch(r"[!-~]{1,1000}", text):
        raise ValueError
    return text


def _smtp_url(text: str) -> str:
    _url(text, {"smtp", "smtps"})
    read_mail_server(text)
    return text


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(_network(part.strip()) for part in text.split(",") if part.strip())


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    interface = ipaddress.ip_interface(text)
    raise _Explained(
        f"{text} has host bits set: write {interface.network} for the network, or {interface.ip} for the address alone"
    )


def _operator_token(text: str) -> str:
    if len(text) < OPERATOR_TOKEN_LENGTH_MIN or not re.fullmatch(r"[!-~]+", text):
        raise ValueError
    return text


def read_secret_key(text: str) -> bytes:
    """The 32 bytes of a secret key given in base64. Raises ValueError, which never holds the text."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if len(key) != SECRET_KEY_BYTES:
        raise ValueError("not 32 bytes")
    return key


def _log_format(text: str) -> LogFormat:
    match text:
        case "console" | "json":
            return text
    raise ValueError(text)


def _yes_or_no(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


DATA_DIR = Setting("data_dir", _folder, "the path of a folder")
DATABASE_URL = Setting("database_url", _database_url, "sqlite:///path or postgresql://user@host/name", secret=True)
HOST = Setting("host", _host, "an IP address or a host name")
PORT = Setting("port", _whole_number(1, 65_535), "a whole number from 1 to 65535")
PUBLIC_URL = Setting("public_url", _public_url, "an http or https URL without login data, query and fragment")
OPERATOR_TOKEN = Setting(
    "operator_token",
    _operator_token,
    f"at least {OPERATOR_TOKEN_LENGTH_MIN} visible ASCII characters without a blank",
    secret=True,
)
SECRET_KEY = Setting("secret_key", read_secret_key, f"{SECRET_KEY_BYTES} bytes in base64", secret=True)
EGRESS_ALLOW = Setting("egress_allow", _networks, "networks such as 10.1.0.0/16,::1/128, separated by commas")
SMTP_URL = Setting(
    "smtp_url",
    _smtp_url,
    "smtp://user:password@host:port or smtps://…, with ?from=ADDRESS and &starttls=always or never",
    secret=True,
)
RETENTION_DAYS = Setting(
    "retention_days", _whole_number(1, RETENTION_DAYS_MAX), f"a whole number from 1 to {RETENTION_DAYS_MAX}"
)
RETENTION_DAYS_OWED = Setting(
    "retention_days_owed", _whole_number(1, RETENTION_DAYS_MAX), f"a whole number from 1 to {RETENTION_DAYS_MAX}"
)
LOG_FORMAT = Setting("log_format", _log_format, "console or json")
METRICS_PUBLIC = Setting("metrics_public", _yes_or_no, "true or false")
API_RATE_PER_MINUTE = Setting(
    "api_rate_per_minute", _whole_number(1, RATE_PER_MINUTE_MAX), f"a whole number from 1 to {RATE_PER_MINUTE_MAX}"
)
TRUSTED_PROXIES = Setting("trusted_proxies", _networks, "networks such as 10.1.0.0/16,::1/128, separated by commas")
OIDC_ISSUER = Setting("oidc_issuer", _issuer, "an https URL without login data, query and fragment")
OIDC_CLIENT_ID = Setting("oidc_client_id", _visible_text, "visible ASCII characters without a blank")
OIDC_CLIENT_SECRET = Setting(
    "oidc_client_secret", _visible_text, "visible ASCII characters without a blank", secret=True
)

SETTINGS: tuple[Setting[object], ...] = (
    DATABASE_URL,
    DATA_DIR,
    HOST,
    PORT,
    OPERATOR_TOKEN,
    SECRET_KEY,
    EGRESS_ALLOW,
    PUBLIC_URL,
    SMTP_URL,
    RETENTION_DAYS,
    RETENTION_DAYS_OWED,
    LOG_FORMAT,
    METRICS_PUBLIC,
    API_RATE_PER_MINUTE,
    TRUSTED_PROXIES,
    OIDC_ISSUER,
    OIDC_CLIENT_ID,
    OIDC_CLIENT_SECRET,
)
SECRET_NAMES = frozenset(setting.name for setting in SETTINGS if setting.secret)


class _Lookup:
    """Finds the text of a setting, reads it, and keeps where it came from."""

    def __init__(self, flags: Mapping[str, str], environment: Mapping[str, str], file: Mapping[str, str]) -> None:
        self.places: tuple[tuple[Source, Mapping[str, str]], ...] = (
            ("flag", flags),
            ("environment", _from_environment(environment)),
            ("waypost.toml", file),
        )
        self.sources: dict[str, Source] = {}

    def read(self, setting: Setting[T], default: T) -> T:
        """The value of `setting`, or `default` when nobody gave one. Raises SettingsError."""
        for source, texts in self.places:
            text = texts.get(setting.name)
            if text is not None:
                self.sources[setting.name] = source
                return self._read_text(setting, text, source)
        self.sources[setting.name] = "default"
        return default

    @staticmethod
    def _read_text(setting: Setting[T], text: str, source: Source) -> T:
        try:
            return setting.read(text)
        except _Explained as error:
            name = _name_at(setting, source)
            raise SettingsError(f"{name} is {text!r}; {error}; allowed: {setting.allowed}.") from None
        except (ValueError, KeyError, OSError, RuntimeError):
            shown = HIDDEN if setting.secret else repr(text)
            name = _name_at(setting, source)
            # The cause would carry the text of a secret into a traceback.
            raise SettingsError(f"{name} is {shown}; allowed: {setting.allowed}.") from None


def _name_at(setting: Setting[T], source: Source) -> str:
    """The setting as the reader wrote it at `source`."""
    match source:
        case "flag":
            return "--" + setting.name.replace("_", "-")
        case "environment":
            return setting.variable
        case _:
            return f"{setting.name} in {source}"


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings given by the environment. An empty variable is taken as not set, as compose files write it."""
    found = {setting.name: environment.get(setting.variable, "") for setting in SETTINGS}
    return {name: text for name, text in found.items() if text}


def _from_file(path: Path) -> dict[str, str]:
    """The settings given by the TOML file; none when there is no such file. Raises SettingsError."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from error
    return {name: _text_of(path, name, value) for name, value in values.items()}


def _text_of(path: Path, name: str, value: object) -> str:
    setting = next((setting for setting in SETTINGS if setting.name == name), None)
    if setting is None:
        near = get_close_matches(name, [setting.name for setting in SETTINGS], n=1)
        hint = f'did you mean "{near[0]}"?' if near else f"the names are in {DEFAULTS_FILE}."
        raise SettingsError(f'{path} has "{name}", which is no setting; {hint}')
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int():
            return str(value)
        case list() if all(isinstance(item, str) for item in value):
            return ",".join(value)
    shown = HIDDEN if setting.secret else repr(value)
    raise SettingsError(f"{name} in {path} is {shown}; allowed: {setting.allowed}.")


def load_settings(
    flags: Mapping[str, str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    config_file: Path | None = CONFIG_FILE,
    is_terminal: bool | None = None,
) -> Settings:
    """Read the settings from all places at once. Makes no file and no folder.

    `flags` are texts by the setting's name, only those that were given. `environment` is the process's own when left
    out; `config_file` None reads no file; `is_terminal` (standard error is one, when left out) chooses the default
    log format. Raises SettingsError with one line for the first wrong value.
    """
    environment = os.environ if environment is None else environment
    is_terminal = sys.stderr.isatty() if is_terminal is None else is_terminal
    find = _Lookup(flags or {}, environment, _from_file(config_file) if config_file else {})
    data_dir = find.read(DATA_DIR, Path("waypost-data").resolve())
    host, port = find.read(HOST, "127.0.0.1"), find.read(PORT, 8484)
    log_format: LogFormat = "console" if is_terminal else "json"
    return Settings(
        data_dir=data_dir,
        database_url=find.read(DATABASE_URL, f"sqlite:///{data_dir / 'waypost.db'}"),
        host=host,
        port=port,
        public_url=find.read(PUBLIC_URL, f"http://{_in_url(_reachable(host))}:{port}"),
        operator_token=find.read(OPERATOR_TOKEN, None),
        secret_key=find.read(SECRET_KEY, None),
        egress_allow=find.read(EGRESS_ALLOW, ()),
        smtp_url=find.read(SMTP_URL, None),
        retention_days=(days := find.read(RETENTION_DAYS, RETENTION_DAYS_DEFAULT)),
        retention_days_owed=_at_least(days, RETENTION_DAYS_OWED, find),
        log_format=find.read(LOG_FORMAT, log_format),
        metrics_public=find.read(METRICS_PUBLIC, False),
        api_rate_per_minute=find.read(API_RATE_PER_MINUTE, None),
        trusted_proxies=find.read(TRUSTED_PROXIES, ()),
        oidc_issuer=(issuer := find.read(OIDC_ISSUER, None)),
        oidc_client_id=_given_with(issuer, OIDC_CLIENT_ID, find),
        oidc_client_secret=_given_with(issuer, OIDC_CLIENT_SECRET, find),
        sources=find.sources,
    )


def _given_with(issuer: str | None, setting: Setting[str], find: _Lookup) -> str | None:
    """What an identity provider is used with, which must be there when it is. Raises SettingsError."""
    given = find.read(setting, None)
    if issuer is not None and given is None:
        raise SettingsError(f"oidc_issuer is set, and {setting.name} is not; an identity provider needs both.")
    return given


def _at_least(days: int, setting: Setting[int], find: _Lookup) -> int:
    """The days that owed events are kept, which are never fewer than those of all others. Raises SettingsError."""
    owed = find.read(setting, max(days, RETENTION_DAYS_OWED_DEFAULT))
    if owed < days:
        name = _name_at(setting, find.sources[setting.name])
        raise SettingsError(f"{name} is {owed}; allowed: at least retention_days, which is {days}.")
    return owed


def _reachable(host: str) -> str:
    """`host`, or the loopback address when the service listens on every address."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
