"""Endpoints: their settings, what they want of the log, their secrets, and their owner's wishes.

What an endpoint wants is versioned by position: a change takes the account's lock and applies to the events after it,
so that every event is judged by the wishes of its own time, whenever it is asked about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, and_, bindparam, delete, insert, select, tuple_, update

from waypost.clock import from_micros, to_micros
from waypost.errors import InvalidDocument, NotFound
from waypost.events.kinds import ENDPOINT_RESUMED
from waypost.events.operations import EndpointStateData, endpoint_brief
from waypost.events.patterns import Wants
from waypost.ids import AccountId, EndpointId
from waypost.log import auditing, hours, signing_keys
from waypost.log.appending import append_event
from waypost.log.auditing import Actor
from waypost.log.cursors import page_of, read_name_cursor
from waypost.log.database import insert_into
from waypost.log.events import first_position_since, log_end
from waypost.log.records import (
    EndpointRecord,
    EndpointSecret,
    EndpointSettings,
    EndpointVersion,
    Page,
    SigningKey,
    Standing,
)
from waypost.log.tables import endpoint_secrets, endpoint_versions, endpoints
from waypost.log.transaction import Tx, Unit
from waypost.log.vault import Vault, place

REPLAY_PREFIX = "job_"  # of the endpoints that replays to another URL have for themselves


class _Sealed(msgspec.Struct):
    """The part of the settings that may hold passwords."""

    auth: dict[str, str]
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Rotated:
    """The secret of an endpoint and its public key, if it has one, and until when those before sign too."""

    secret: str = field(repr=False)
    previous_expires_at: datetime | None
    public_key: str | None = None


# -- units -------------------------------------------------------------------------------------------------------------


def create_endpoint(
    account_id: AccountId,
    settings: EndpointSettings,
    wants: Wants,
    *,
    secret: str,
    signing_key: SigningKey | None = None,
    start: str | int | datetime = "now",
    paused: bool = False,
) -> Unit[EndpointRecord]:
    """Make an endpoint that is owed the events after `start`: `now`, `beginning`, a position, or a time.

    A time means from the first event recorded at or after it. InvalidDocument when a position is not in the log yet.
    `signing_key` is kept when the settings ask for the signature `v1a`.
    """

    def work(tx: Tx) -> EndpointRecord:
        cursor = start_position(tx.connection, account_id, start, tx.head(account_id).position)
        endpoint_id = tx.ids.endpoint_id(tx.now)
        key = {"account_id": account_id, "endpoint_id": endpoint_id}
        times = {"created_at": tx.now_us, "updated_at": tx.now_us, "health_since": tx.now_us}
        standing = {"health": "active", "health_version": 0, "failures_in_a_row": 0, "epoch": 0}
        progress = {"start_position": cursor, "cursor": cursor, "paused_at": tx.now_us if paused else None}
        row = key | times | standing | progress | _settings_columns(tx.vault, account_id, endpoint_id, settings)
        tx.connection.execute(insert(endpoints), row)
        _put_version(tx, account_id, endpoint_id, cursor + 1, wants)
        signing_keys.add_secrets(
            tx, account_id, endpoint_id, secret, signing_key if "v1a" in settings.signature else None
        )
        tx.changed_endpoints.add((account_id, endpoint_id))
        return read_endpoint(tx.connection, tx.vault, account_id, endpoint_id)

    return Unit(account_id, work, locks=True)


def change_endpoint(
    account_id: AccountId,
    endpoint_id: EndpointId,
    settings: EndpointSettings,
    wants: Wants,
    *,
    signing_key: SigningKey | None = None,
    start: str | int | datetime | None = None,
) -> Unit[EndpointRecord]:
    """Set an endpoint's settings whole, and what it wants of the events after the change.

    `start` moves the start of an endpoint that is untouched; then its wishes are those of all that it is owed.
    `signing_key` is kept when they ask for the signature `v1a` and it has no key yet. Who makes the new settings out of
    the old ones reads those in the same unit, or two changes at once undo each other.
    """

    def work(tx: Tx) -> EndpointRecord:
        end = tx.head(account_id).position
        before = read_endpoint(tx.connection, tx.vault, account_id, endpoint_id)
        columns = _settings_columns(tx.vault, account_id, endpoint_id, settings) | {"updated_at": tx.now_us}
        tx.connection.execute(update(endpoints).where(_one(account_id, endpoint_id)).values(**columns))
        if start is not None and before.is_untouched:
            _start_anew(tx, before, wants, start_position(tx.connection, account_id, start, end))
        elif wants != before.wants:
            _put_version(tx, account_id, endpoint_id, end + 1, wants)
        if signing_key and "v1a" in settings.signature and not signing_keys.newest(before.secrets):
            signing_keys.add_secret(tx, account_id, endpoint_id, signing_key.private_key, signing_key.public_key)
        tx.changed_endpoints.add((account_id, endpoint_id))
        return read_endpoint(tx.connection, tx.vault, account_id, endpoint_id)

    return Unit(account_id, work, locks=True)


def _start_anew(tx: Tx, before: EndpointRecord, wants: Wants, cursor: int) -> None:
    """Move the cursor of an endpoint that was never sent anything. Whoever holds its lease begins anew."""
    moved = {"start_position": cursor, "cursor": cursor, "epoch": endpoints.c.epoch + 1, "owner": None}
    tx.connection.execute(update(endpoints).where(_one(before.account_id, before.endpoint_id)).values(**moved))
    versions = endpoint_versions.c
    mine = versions.account_id == before.account_id, versions.endpoint_id == before.endpoint_id
    tx.connection.execute(delete(endpoint_versions).where(*mine))
    _put_version(tx, before.account_id, before.endpoint_id, cursor + 1, wants)


def delete_endpoint(account_id: AccountId, endpoint_id: EndpointId) -> Unit[None]:
    """Forget an endpoint, what it is owed, and its replays. Its attempts stay until their time is over."""

    def work(tx: Tx) -> None:
        read_endpoint(tx.connection, tx.vault, account_id, endpoint_id)
        _changed_with_copies(tx, account_id, endpoint_id)
        hours.put_away(tx, account_id, endpoint_id)
        tx.connection.execute(delete(endpoints).where(_one(account_id, endpoint_id)))

    return Unit(account_id, work)


def pause_endpoint(account_id: AccountId, endpoint_id: EndpointId) -> Unit[EndpointRecord]:
    """Hold the deliveries of an endpoint. Pausing a paused one leaves it as it is."""

    def work(tx: Tx) -> EndpointRecord:
        before = read_endpoint(tx.connection, tx.vault, account_id, endpoint_id)
        if before.paused_at is None:
            paused = {"paused_at": tx.now_us, "updated_at": tx.now_us}
            tx.connection.execute(update(endpoints).where(_one(account_id, endpoint_id)).values(**paused))
        tx.changed_endpoints.add((account_id, endpoint_id))
        return read_endpoint(tx.connection, tx.vault, account_id, endpoint_id)

    return Unit(account_id, work)


def resume_endpoint(account_id: AccountId, endpoint_id: EndpointId) -> Unit[EndpointRecord]:
    """Let the deliveries go on, from pause, failing or suspension. An active one is left as it is."""

    def work(tx: Tx) -> EndpointRecord:
        before = read_endpoint(tx.connection, tx.vault, account_id, endpoint_id)
        if before.state != "active" or before.standing.health != "active":
            healthy = {
                "paused_at": None,
                "health": "active",
                "health_reason": None,
                "health_since": tx.now_us,
                "health_version": endpoints.c.health_version + 1,
                "failures_in_a_row": 0,
                "failing_since": None,
                "held_until": None,
                "updated_at": tx.now_us,
            }
            tx.connection.execute(update(endpoints).where(_one(account_id, endpoint_id)).values(**healthy))
        if before.standing.health != "active":
            _tell_resumed(tx, before)
        tx.changed_endpoints.add((account_id, endpoint_id))
        return read_endpoint(tx.connection, tx.vault, account_id, endpoint_id)

    return Unit(account_id, work)


def _tell_resumed(tx: Tx, before: EndpointRecord) -> None:
    """Put it in the log in the same transaction: who delivers to the endpoint may be gone before it hears of it."""
    if before.endpoint_id.startswith(REPLAY_PREFIX):
        return  # how a replay to another URL fares is told by its job, and is nobody's event
    success = before.standing.last_success_at
    data = EndpointStateData(
        endpoint=endpoint_brief(before.endpoint_id, before.settings.description, before.settings.url),
        state="active",
        state_reason=None,
        state_since=tx.now,
        last_success_at=None if success is None else from_micros(success),
    )
    append_event(
        tx,
        before.account_id,
        ENDPOINT_RESUMED,
        msgspec.json.encode(data),
        key=before.endpoint_id,
        event_id=tx.ids.event_id(tx.now),
        occurred_at=tx.now,
    )


def rotate_secret(
    account_id: AccountId,
    endpoint_id: EndpointId,
    secret: str,
    overlap_s: int,
    *,
    signing_key: SigningKey | None = None,
) -> Unit[Rotated]:
    """Sign with a new secret from now on, and with the one before too for `overlap_s` seconds.

    `signing_key` takes the place of the endpoint's key in the same way, if it has one.
    """

    def work(tx: Tx) -> Rotated:
        endpoint = read_endpoint(tx.connection, tx.vault, account_id, endpoint_id)
        expires_at = signing_keys.end_secrets(tx, account_id, endpoint_id, overlap_s)
        new_key = signing_key if signing_keys.newest(endpoint.secrets) else None
        signing_keys.add_secrets(tx, account_id, endpoint_id, secret, new_key)
        _changed_with_copies(tx, account_id, endpoint_id)
        previous_expires_at = expires_at if endpoint.secrets and overlap_s > 0 else None
        return Rotated(secret, previous_expires_at, new_key.public_key if new_key else None)

    return Unit(account_id, work)


def reveal_secret(account_id: AccountId, endpoint_id: EndpointId, actor: Actor) -> Unit[Rotated]:
    """Give the secret of an endpoint and its public key, and write down that `actor` asked for it."""

    def work(tx: Tx) -> Rotated:
        endpoint = read_endpoint(tx.connection, tx.vault, account_id, endpoint_id)
        auditing.record(tx, account_id, actor=actor, action="endpoint.secret_revealed", subject=endpoint_id)
        shared = [secret for secret in endpoint.secrets if secret.public_key is None]
        live = [secret.expires_at for secret in endpoint.secrets if secret.expires_at and secret.expires_at > tx.now]
        key = signing_keys.newest(endpoint.secrets)
        return Rotated(shared[0].secret, max(live, default=None), key.public_key if key else None)

    return Unit(account_id, work)


def copy_endpoint(
    tx: Tx, account_id: AccountId, endpoint_id: EndpointId, copy_id: EndpointId, *, url: str
) -> EndpointId:
    """Make a copy of an endpoint that sends to another URL what a replay asks it to, and nothing else.

    It signs with the secrets of the original and goes when that goes; its health is its own.
    """
    original = read_endpoint(tx.connection, tx.vault, account_id, endpoint_id)
    settings = msgspec.structs.replace(original.settings, url=url)
    end = log_end(tx.connection, account_id)
    key = {"account_id": account_id, "endpoint_id": copy_id}
    times = {"created_at": tx.now_us, "updated_at": tx.now_us, "health_since": tx.now_us}
    standing = {"health": "active", "health_version": 0, "failures_in_a_row": 0, "epoch": 0}
    progress = {"start_position": end, "cursor": end, "replay_of": endpoint_id}
    row = key | times | standing | progress | _settings_columns(tx.vault, account_id, copy_id, settings)
    tx.connection.execute(insert(endpoints), row)
    _put_version(tx, account_id, copy_id, 1, Wants(patterns=()))
    tx.changed_endpoints.add((account_id, copy_id))
    return copy_id


def _changed_with_copies(tx: Tx, account_id: AccountId, endpoint_id: EndpointId) -> None:
    """Note that an endpoint changed, and with it the copies that its replays have."""
    mine = endpoints.c.account_id == account_id, endpoints.c.replay_of == endpoint_id
    copies = tx.connection.execute(select(endpoints.c.endpoint_id).where(*mine)).scalars().all()
    tx.changed_endpoints.update((account_id, EndpointId(name)) for name in (endpoint_id, *copies))


def start_position(connection: Connection, account_id: AccountId, start: str | int | datetime, end: int) -> int:
    """Give the position after which `start` means, in a log that ends at `end`. InvalidDocument past its end.

    What has left by age is passed over: the beginning is the first event that is still there.
    """
    if start == "now":
        return end
    if isinstance(start, datetime):
        return first_position_since(connection, account_id, to_micros(start), end) - 1
    if start == "beginning":
        start = 0
    if isinstance(start, int) and 0 <= start <= end:
        return max(start, first_position_since(connection, account_id, 0, end) - 1)
    raise InvalidDocument(f"The log ends at position {end}; start at or before it.", path="/start")


def _settings_columns(
    vault: Vault, account_id: AccountId, endpoint_id: EndpointId, settings: EndpointSettings
) -> dict[str, object]:
    sealed = msgspec.json.encode(_Sealed(settings.auth, settings.headers))
    plain = msgspec.structs.replace(settings, auth={"type": settings.auth.get("type", "none")}, headers={})
    return {
        "settings": msgspec.json.encode(plain).decode(),
        "sealed_settings": vault.seal(sealed, place("endpoints", account_id, endpoint_id)),
    }


def _put_version(tx: Tx, account_id: AccountId, endpoint_id: EndpointId, from_position: int, wants: Wants) -> None:
    row = {"account_id": account_id, "endpoint_id": endpoint_id, "from_position": from_position}
    statement = insert_into(tx.dialect, endpoint_versions)
    statement = statement.on_conflict_do_update(
        index_elements=["account_id", "endpoint_id", "from_position"], set_={"wants": statement.excluded.wants}
    )
    tx.connection.execute(statement, row | {"wants": msgspec.json.encode(wants).decode()})


# -- reading -----------------------------------------------------------------------------------------------------------


def read_endpoint(
    connection: Connection, vault: Vault, account_id: AccountId, endpoint_id: EndpointId
) -> EndpointRecord:
    """Give an endpoint with its secrets in clear, or raise NotFound."""
    row = None if "\0" in endpoint_id else connection.execute(endpoint_row(account_id, endpoint_id)).first()
    if row is None:
        raise no_endpoint(endpoint_id)
    return _records(connection, vault, account_id, [row])[0]


def read_endpoints(
    connection: Connection, vault: Vault, names: Sequence[tuple[AccountId, EndpointId]]
) -> list[EndpointRecord]:
    """Give these endpoints, of whichever accounts, as far as they exist."""
    rows_by_account: dict[AccountId, list[Row[Any]]] = {}
    for row in connection.execute(endpoint_rows(), {"names": list(names)}):
        rows_by_account.setdefault(row.account_id, []).append(row)
    found = (_records(connection, vault, account_id, rows) for account_id, rows in rows_by_account.items())
    return [record for records in found for record in records]


def list_endpoints(
    connection: Connection, vault: Vault, account_id: AccountId, limit: int, cursor: str | None
) -> Page[EndpointRecord]:
    """Give a page of an account's endpoints, the oldest first."""
    rows = connection.execute(endpoints_after(account_id, read_name_cursor(cursor), limit + 1)).all()
    records = _records(connection, vault, account_id, rows)
    return page_of(records, limit, lambda endpoint: endpoint.endpoint_id)


def _records(
    connection: Connection, vault: Vault, account_id: AccountId, rows: Sequence[Row[Any]]
) -> list[EndpointRecord]:
    ids = [row.endpoint_id for row in rows]
    versions: dict[str, list[EndpointVersion]] = {endpoint_id: [] for endpoint_id in ids}
    for row in connection.execute(versions_of(account_id, ids)):
        wants = msgspec.json.decode(row.wants, type=Wants)
        versions[row.endpoint_id].append(EndpointVersion(row.from_position, wants))
    signers = sorted({row.replay_of or row.endpoint_id for row in rows})
    secrets: dict[str, list[EndpointSecret]] = {endpoint_id: [] for endpoint_id in signers}
    for row in connection.execute(secrets_of(account_id, signers)):
        secrets[row.endpoint_id].append(_secret(vault, account_id, row))
    return [_record(vault, account_id, row, versions, secrets) for row in rows]


def check_key(connection: Connection, vault: Vault) -> None:
    """Open one stored secret, whosever: raises WrongKey when the service was started with another key than before."""
    columns = endpoint_secrets.c
    one = select(columns.account_id, columns.endpoint_id, columns.secret_id, columns.ciphertext).limit(1)
    row = connection.execute(one).first()
    if row is not None:
        vault.open(row.ciphertext, place("endpoint_secrets", row.account_id, row.endpoint_id, row.secret_id))


def _secret(vault: Vault, account_id: AccountId, row: Row[Any]) -> EndpointSecret:
    spot = place("endpoint_secrets", account_id, row.endpoint_id, row.secret_id)
    expires_at = None if row.expires_at is None else from_micros(row.expires_at)
    secret = vault.open(row.ciphertext, spot).decode()
    return EndpointSecret(secret, from_micros(row.created_at), expires_at, row.public_key)


def _record(
    vault: Vault,
    account_id: AccountId,
    row: Row[Any],
    versions: Mapping[str, list[EndpointVersion]],
    secrets: Mapping[str, list[EndpointSecret]],
) -> EndpointRecord:
    plain = msgspec.json.decode(row.settings, type=EndpointSettings)
    opened = vault.open(row.sealed_settings, place("endpoints", account_id, row.endpoint_id))
    sealed = msgspec.json.decode(opened, type=_Sealed)
    return EndpointRecord(
        account_id=account_id,
        endpoint_id=EndpointId(row.endpoint_id),
        settings=msgspec.structs.replace(plain, auth=sealed.auth, headers=sealed.headers),
        versions=tuple(versions[row.endpoint_id]),
        secrets=tuple(secrets[row.replay_of or row.endpoint_id]),
        standing=Standing(
            health=row.health,
            reason=row.health_reason,
            since=row.health_since,
            version=row.health_version,
            failures_in_a_row=row.failures_in_a_row,
            failing_since=row.failing_since,
            last_success_at=row.last_success_at,
            held_until=row.held_until,
        ),
        paused_at=None if row.paused_at is None else from_micros(row.paused_at),
        start_position=row.start_position,
        cursor=row.cursor,
        epoch=row.epoch,
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.updated_at),
        replay_of=None if row.replay_of is None else EndpointId(row.replay_of),
    )


def no_endpoint(endpoint_id: str) -> NotFound:
    """The refusal of an endpoint that is not there."""
    return NotFound(f'There is no endpoint "{endpoint_id}".')


# -- statements --------------------------------------------------------------------------------------------------------


def _one(account_id: AccountId, endpoint_id: EndpointId) -> Any:
    return and_(endpoints.c.account_id == account_id, endpoints.c.endpoint_id == endpoint_id)


def endpoint_row(account_id: AccountId, endpoint_id: EndpointId) -> Select[Any]:
    """One endpoint. By the primary key."""
    return select(*endpoints.c).where(_one(account_id, endpoint_id))


@cache
def endpoint_rows() -> Select[Any]:
    """The endpoints `:names`. By the primary key."""
    names = tuple_(endpoints.c.account_id, endpoints.c.endpoint_id).in_(bindparam("names", expanding=True))
    return select(*endpoints.c).where(names).order_by(endpoints.c.account_id, endpoints.c.endpoint_id)


def endpoints_after(account_id: AccountId, endpoint_id: str, limit: int) -> Select[Any]:
    """The endpoints of an account past `endpoint_id`, without those of replays, at most `limit`. By the primary key."""
    mine = select(*endpoints.c).where(endpoints.c.account_id == account_id, endpoints.c.endpoint_id > endpoint_id)
    mine = mine.where(endpoints.c.replay_of.is_(None))
    return mine.order_by(endpoints.c.endpoint_id).limit(limit)


def versions_of(account_id: AccountId, endpoint_ids: Sequence[str]) -> Select[Any]:
    """What these endpoints want, in order of position. Walks the primary key."""
    columns = endpoint_versions.c
    mine = select(columns.endpoint_id, columns.from_position, columns.wants)
    mine = mine.where(columns.account_id == account_id, columns.endpoint_id.in_(endpoint_ids))
    return mine.order_by(columns.endpoint_id, columns.from_position)


def secrets_of(account_id: AccountId, endpoint_ids: Sequence[str]) -> Select[Any]:
    """The secrets of these endpoints, newest first. Walks the primary key."""
    columns = endpoint_secrets.c
    known = (columns.endpoint_id, columns.secret_id, columns.ciphertext, columns.public_key, columns.created_at)
    mine = select(*known, columns.expires_at)
    mine = mine.where(columns.account_id == account_id, columns.endpoint_id.in_(endpoint_ids))
    # The newest has no end; among the others the ids sort as they were made.
    return mine.order_by(columns.endpoint_id, columns.secret_id.desc())
