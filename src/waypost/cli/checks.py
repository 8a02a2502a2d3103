"""What `waypost doctor` looks at. Each check gives findings; none changes anything, none sends a webhook."""

import asyncio
import os
import socket
import ssl
import stat
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Literal
from urllib.request import pathname2url

import msgspec
import pysqlite3.dbapi2 as sqlite3
from aiosmtplib import SMTPException, SMTPResponseException
from alembic.runtime.migration import MigrationContext
from sqlalchemy import make_url, text
from sqlalchemy.exc import SQLAlchemyError

from waypost.client import Client, ClientError, ServiceError
from waypost.delivery.egress import EgressRules, ParsedUrl
from waypost.delivery.lookup import addresses_of
from waypost.errors import AddressNotAllowed, CallerError
from waypost.log import DatabaseProblem, open_database, sqlite_version
from waypost.log.migration import newest_revision
from waypost.mail_server import read_mail_server
from waypost.secret_files import SECRET_KEY_FILE, read_operator_token
from waypost.settings import SECRET_KEY, Settings, read_secret_key
from waypost.upkeep.alerting import connection as smtp

Health = Literal["ok", "remark", "fail"]

CONNECT_S_MAX = 5.0
CLOCK_SKEW_MAX = timedelta(seconds=30)  # receivers refuse a signature whose time is 5 minutes off
RELEASED_ON = datetime(2026, 11, 1, tzinfo=UTC)  # a clock before this is wrong


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at: how it is, in a sentence, and what to do when it is not well."""

    about: str
    health: Health
    says: str


def configuration(settings: Settings) -> Iterator[Finding]:
    """The data folder, the secret key and the operator's token."""
    folder = settings.data_dir
    if not folder.exists():
        yield Finding("data folder", "remark", f"{folder} is not there yet; the first start makes it.")
    else:
        yield Finding("data folder", "ok", str(folder))
    yield _secret_key(settings)
    try:
        token = read_operator_token(settings)
    except OSError as error:
        yield Finding("operator token", "fail", f"{error.filename} cannot be read: {error.strerror}.")
        return
    found = "is known" if token else "is made at the first start"
    yield Finding("operator token", "ok" if token else "remark", f"The token {found}.")


def _secret_key(settings: Settings) -> Finding:
    if settings.secret_key is not None:
        return Finding("secret key", "ok", f"The key is given from outside ({settings.sources['secret_key']}).")
    path = settings.data_dir / SECRET_KEY_FILE
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        read_secret_key(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return Finding("secret key", "remark", f"{path} is not there yet; the first start makes it.")
    except OSError as error:
        return Finding("secret key", "fail", f"{path} cannot be read: {error.strerror}.")
    except ValueError:
        return Finding("secret key", "fail", f"{path} holds something else; allowed: {SECRET_KEY.allowed}.")
    if mode & 0o077:
        return Finding("secret key", "fail", f"{path} may be read by others. Close it: chmod 600 {path}")
    return Finding("secret key", "ok", f"{path}, mode {mode:04o}")


def clock(settings: Settings, client: Client | None, now: datetime) -> Iterator[Finding]:
    """This machine's clock against what it cannot be, and against the service's."""
    if now < RELEASED_ON:
        yield Finding("clock", "fail", f"The clock says {now:%Y-%m-%d}, which is before this version was made.")
        return
    database = settings.data_dir / "waypost.db"
    if database.exists() and datetime.fromtimestamp(database.stat().st_mtime, UTC) > now + CLOCK_SKEW_MAX:
        yield Finding("clock", "fail", f"{database} was written in the future: the clock was set back.")
        return
    skew = _skew(client, now)
    if skew is not None and abs(skew) > CLOCK_SKEW_MAX:
        yield Finding("clock", "fail", f"The service's clock is {skew.total_seconds():+.0f} s from this machine's.")
        return
    yield Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def _skew(client: Client | None, now: datetime) -> timedelta | None:
    if client is None:
        return None
    try:
        date = client.call("GET", "/healthz").date
    except ClientError:
        return None
    return None if date is None else parsedate_to_datetime(date) - now


def egress(settings: Settings) -> Iterator[Finding]:
    """What the allowed networks open, where that may be more than was meant."""
    networks = settings.egress_allow
    if not networks:
        yield Finding("egress rules", "ok", "Webhooks reach public addresses only.")
        return
    yield Finding("egress rules", "ok", f"Besides public addresses webhooks reach {', '.join(map(str, networks))}.")
    for network in networks:
        if network.prefixlen < 8:
            yield Finding("egress rules", "remark", f"{network} opens very much. Name only the networks you need.")
    loopback = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
    opened = [any(one.version == own.version and own.supernet_of(one) for own in networks) for one in loopback]  # type: ignore[arg-type]
    if any(opened) and not all(opened):
        yield Finding("egress rules", "remark", "localhost has two addresses; allow 127.0.0.0/8 and ::1/128 for it.")


def retention(settings: Settings) -> Iterator[Finding]:
    """How long things are kept."""
    days, owed = settings.retention_days, settings.retention_days_owed
    kept = f"Events and attempts are kept for {days} days, and what an endpoint is still owed for {owed}."
    yield Finding("retention", "ok", kept)


async def mail(settings: Settings) -> Finding:
    """Whether the mail server takes us: connects, with TLS and login as set, and hands in nothing."""
    if settings.smtp_url is None:
        return Finding("mail server", "ok", "None is set, so nobody is told of troubles by e-mail.")
    server = read_mail_server(settings.smtp_url, settings.public_url)
    about = f"{server.host}:{server.port}"
    try:
        async with smtp(server, timeout_s=CONNECT_S_MAX):
            pass
    except (SMTPException, OSError, TimeoutError) as error:
        # What a server says may quote what it was sent: the kind of trouble is enough here.
        said = f"{type(error).__name__} {error.code}" if isinstance(error, SMTPResponseException) else str(error)
        return Finding("mail server", "fail", f"{about}: {said or type(error).__name__}. No alert can be sent.")
    return Finding("mail server", "ok", f"{about} takes mail from {server.sender}.")


def database(settings: Settings, now: datetime) -> Iterator[Finding]:
    """The database: its version, whether it needs a migration, and its clock. Reads only."""
    if settings.is_sqlite:
        yield Finding("SQLite", "ok", f"version {sqlite_version()}")
        yield _sqlite_file(Path(make_url(settings.database_url).database or ""))
        return
    try:
        with closing(open_database(settings.database_url, readers=1)) as opened, opened.readers.connect() as connection:
            revision = MigrationContext.configure(connection).get_current_revision()
            version, clock_now = connection.execute(text("SELECT version(), clock_timestamp()")).one()
    except (DatabaseProblem, SQLAlchemyError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        yield Finding("PostgreSQL", "fail", f"{settings.shown('database_url')}: {reason}")
        return
    yield Finding("PostgreSQL", "ok", version.partition(" on ")[0])
    yield _state_of_schema("PostgreSQL", revision)
    if abs(clock_now - now) > CLOCK_SKEW_MAX:
        yield Finding("clock", "fail", f"The database's clock is {(clock_now - now).total_seconds():+.0f} s from ours.")


def _sqlite_file(path: Path) -> Finding:
    if not path.exists():
        return Finding("database", "remark", f"{path} is not there yet; the first start makes it.")
    try:
        with closing(sqlite3.connect(f"file:{pathname2url(str(path))}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        return Finding("database", "fail", f"{path} cannot be read: {error}.")
    return _state_of_schema(str(path), found and found[0])


def _state_of_schema(name: str, revision: str | None) -> Finding:
    newest = newest_revision()
    if revision == newest:
        return Finding("database", "ok", f"{name} is at {revision}, as this version wants it.")
    return Finding("database", "fail", f"{name} is at {revision}, not at {newest}. Run: waypost migrate --plan")


def service(client: Client) -> Iterator[Finding]:
    """Whether the service lives and is ready."""
    try:
        client.get("/healthz")
        client.get("/readyz")
    except ServiceError as error:
        yield Finding("service", "fail", f"{client.url} lives and is not ready: {error}")
    except ClientError as error:
        yield Finding("service", "remark", str(error))
    else:
        yield Finding("service", "ok", f"{client.url} is ready.")


class Account(msgspec.Struct, frozen=True):
    """An account, by its id."""

    id: str


class Endpoint(msgspec.Struct, frozen=True):
    """What is looked at of an endpoint."""

    id: str
    url: str
    state: str = "active"
    state_reason: str | None = None
    waiting: int = 0


def endpoints(client: Client) -> list[tuple[str, Endpoint]]:
    """The endpoints of every account this token may see, with their account. Raises ClientError."""
    found = []
    for account in _accounts(client):
        own = Client(client.url, client.token, account)
        items = own.items("/v1/endpoints")
        found += [(account or "default", msgspec.json.decode(item, type=Endpoint)) for item in items]
    return found


def _accounts(client: Client) -> Iterable[str | None]:
    if client.account is not None:
        return [client.account]
    try:
        return [msgspec.json.decode(item, type=Account).id for item in client.items("/v1/accounts")]
    except ServiceError as error:
        if error.status in {401, 403}:  # not an operator's token: it sees its own account
            return [None]
        raise


async def reach(account: str, endpoint: Endpoint, rules: EgressRules) -> Finding:
    """Whether this machine can connect to an endpoint. Connects and sends nothing.

    It is named without the query of its URL, which may hold a secret: what doctor says is passed on to others.
    """
    about, url = f"{account}/{endpoint.id}", endpoint.url.partition("?")[0]
    try:
        parsed = await rules.check_endpoint_url(endpoint.url)
        address = await _connect(parsed, rules)
    except CallerError as error:
        return Finding(about, "fail", f"{url}: {error.detail}")
    except TimeoutError:
        return Finding(about, "fail", f"{url}: no connection within {CONNECT_S_MAX:g} s.")
    except OSError as error:
        return Finding(about, "fail", f"{url}: {_reason(error)}.")
    standing = f"{endpoint.state}, {endpoint.waiting} waiting"
    health: Health = "ok" if endpoint.state == "active" else "remark"
    return Finding(about, health, f"{url} answers at {address}; {standing}")


def _reason(error: OSError) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate cannot be trusted ({error.verify_message})"
        case ssl.SSLError():
            return "it does not speak TLS as we do"
        case socket.gaierror():
            return "no server has this name"
    # asyncio words every failed connection alike; the number says which it is.
    return os.strerror(error.errno) if error.errno else str(error)


async def _connect(parsed: ParsedUrl, rules: EgressRules) -> str:
    """Connect as a delivery would, TLS included, and close again. Gives the address."""
    address = parsed.host if parsed.address else (await addresses_of(parsed.host))[0]
    reason = rules.vet(address, parsed.port)
    if reason is not None:
        raise AddressNotAllowed(f"{address} is {reason}.")
    secure = ssl.create_default_context() if parsed.url.scheme == "https" else None
    async with asyncio.timeout(CONNECT_S_MAX):
        name = parsed.host if secure else None
        _, writer = await asyncio.open_connection(address, parsed.port, ssl=secure, server_hostname=name)
    writer.close()
    return address
