"""The operator's mail server, as the setting `smtp_url` names it.

    smtp://user:password@mail.example.com:587?from=waypost@example.com
    smtps://user:password@mail.example.com

`smtp` begins in clear text and goes over to TLS (STARTTLS): always where a password is sent, else where the server
offers it. `?starttls=always` and `?starttls=never` say otherwise. `smtps` is TLS from the start.
"""

from dataclasses import dataclass, field
from email.headerregistry import Address
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

Tls = Literal["from the start", "always", "if offered", "never"]

PORTS = {"smtp": 587, "smtps": 465}
SENDER_NAME = "waypost"
ADDRESS_LENGTH_MAX = 320
LOCAL_LENGTH_MAX = 64


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in, how, and whose address it bears."""

    host: str
    port: int
    tls: Tls
    sender: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def read_mail_server(url: str, public_url: str = "http://localhost") -> MailServer:
    """Give the server that `url` names. Raises ValueError, which never holds the password.

    Without `from` in the URL the sender is the user, if that is an address, else waypost@ and the host of `public_url`.
    """
    parts = urlsplit(url)
    port = parts.port  # raises ValueError when it is not a port
    if parts.scheme not in PORTS or not parts.hostname or parts.path not in ("", "/") or parts.fragment:
        raise ValueError("not smtp://user:password@host:port")
    options = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    tls = _tls(parts.scheme, options.pop("starttls", None), has_password=password is not None)
    sender = options.pop("from", None) or _sender(username, public_url)
    if options or not is_address(sender):
        raise ValueError("the options are from=ADDRESS and starttls=always or never")
    return MailServer(parts.hostname, port or PORTS[parts.scheme], tls, sender, username, password)


def _tls(scheme: str, starttls: str | None, *, has_password: bool) -> Tls:
    if scheme == "smtps":
        if starttls is not None:
            raise ValueError("smtps is TLS from the start")
        return "from the start"
    match starttls:
        case None:
            return "always" if has_password else "if offered"
        case "always" | "never":
            return starttls
    raise ValueError("starttls is always or never")


def _sender(username: str | None, public_url: str) -> str:
    if username is not None and "@" in username:
        return username
    return f"{SENDER_NAME}@{urlsplit(public_url).hostname or 'localhost'}"


def is_address(text: str) -> bool:
    """Whether `text` is one plain address of mail, such as every server takes: no name, no quotes, ASCII only."""
    local, _, domain = text.rpartition("@")
    bare = text.isascii() and text.isprintable() and not set(text) & set(' <>(),;:"')
    if not (local and domain and bare) or len(local) > LOCAL_LENGTH_MAX or len(text) > ADDRESS_LENGTH_MAX:
        return False
    try:
        return Address(addr_spec=text).addr_spec == text
    except ValueError:
        return False
