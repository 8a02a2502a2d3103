"""What endpoints sign with: a secret shared with the receiver, and an Ed25519 key whose public half is published.

Secrets and private keys are encrypted; public keys stand beside them in clear, so that publishing opens nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, insert, or_, select, tuple_, update

from waypost.clock import from_micros, to_micros
from waypost.ids import AccountId, EndpointId
from waypost.log.cursors import page_of, read_cursor, without_nul
from waypost.log.records import Page, SigningKey
from waypost.log.tables import endpoint_secrets
from waypost.log.transaction import Tx
from waypost.log.vault import place

OLD_SECRETS_MAX = 4  # of a kind, that sign beside the newest one; further rotations end the oldest


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A published key (`whpk_…`); `expires_at` is the end of its overlap, None for the newest."""

    endpoint_id: EndpointId
    key_id: str
    public_key: str
    expires_at: datetime | None


def add_secret(tx: Tx, account_id: AccountId, endpoint_id: EndpointId, secret: str, public_key: str | None) -> None:
    """Sign with `secret` from now on: the half that is not published, where there is a `public_key`."""
    secret_id = tx.ids.new("sec_", tx.now)
    ciphertext = tx.vault.seal(secret.encode(), place("endpoint_secrets", account_id, endpoint_id, secret_id))
    row = {"account_id": account_id, "endpoint_id": endpoint_id, "secret_id": secret_id, "public_key": public_key}
    tx.connection.execute(insert(endpoint_secrets), row | {"ciphertext": ciphertext, "created_at": tx.now_us})


def add_secrets(
    tx: Tx, account_id: AccountId, endpoint_id: EndpointId, secret: str, signing_key: SigningKey | None
) -> None:
    """Sign with a secret, and with a key where there is one, from now on."""
    add_secret(tx, account_id, endpoint_id, secret, None)
    if signing_key is not None:
        add_secret(tx, account_id, endpoint_id, signing_key.private_key, signing_key.public_key)


def end_secrets(tx: Tx, account_id: AccountId, endpoint_id: EndpointId, overlap_s: int) -> datetime:
    """Let what signs now sign for `overlap_s` seconds more, and no longer; give until when."""
    columns, mine = endpoint_secrets.c, of_endpoint(account_id, endpoint_id)
    expires_at = tx.now + timedelta(seconds=overlap_s)
    # Also those of earlier rotations: none signs longer than this overlap, and one too old for it ends at once.
    ending = {"expires_at": to_micros(expires_at)}
    lasting = or_(columns.expires_at.is_(None), columns.expires_at > ending["expires_at"])
    tx.connection.execute(update(endpoint_secrets).where(mine, lasting).values(**ending))
    tx.connection.execute(delete(endpoint_secrets).where(mine, columns.expires_at <= tx.now_us))
    # So many that the header of their signatures stays small.
    for published in (columns.public_key.is_(None), columns.public_key.is_not(None)):
        newest_first = select(columns.secret_id).where(mine, published).order_by(columns.secret_id.desc())
        for secret_id in tx.connection.execute(newest_first.offset(OLD_SECRETS_MAX)).scalars().all():
            tx.connection.execute(delete(endpoint_secrets).where(mine, columns.secret_id == secret_id))
    return expires_at


def list_public_keys(
    connection: Connection,
    account_id: AccountId,
    endpoint_id: EndpointId | None,
    now: datetime,
    limit: int,
    cursor: str | None,
) -> Page[PublicKey]:
    """Give a page of the keys that sign now, of one endpoint or all. What does not exist has none."""
    after = ("", "") if cursor is None else read_cursor(cursor, tuple[str, str])
    without_nul(after[0] + after[1])
    if "\0" in account_id or "\0" in (endpoint_id or ""):
        return Page([], None)
    rows = connection.execute(public_keys(account_id, endpoint_id, to_micros(now), after, limit + 1))
    keys = [
        PublicKey(
            EndpointId(row.endpoint_id), row.secret_id, row.public_key,
            None if row.expires_at is None else from_micros(row.expires_at),
        )
        for row in rows
    ]  # fmt: skip
    return page_of(keys, limit, lambda key: (key.endpoint_id, key.key_id))


def newest(secrets: Iterable[Any]) -> SigningKey | None:
    """Give the newest key among an endpoint's secrets, which come newest first."""
    return next((SigningKey(one.secret, one.public_key) for one in secrets if one.public_key is not None), None)


def of_endpoint(account_id: AccountId, endpoint_id: EndpointId) -> Any:
    """The condition for the secrets of one endpoint."""
    return and_(endpoint_secrets.c.account_id == account_id, endpoint_secrets.c.endpoint_id == endpoint_id)


def public_keys(
    account_id: AccountId, endpoint_id: EndpointId | None, now_us: int, after: tuple[str, str], limit: int
) -> Select[Any]:
    """The live public keys past `after`, at most `limit`. Walks `endpoint_secrets_published`."""
    columns = endpoint_secrets.c
    mine = select(columns.endpoint_id, columns.secret_id, columns.public_key, columns.expires_at)
    mine = mine.where(columns.account_id == account_id, columns.public_key.is_not(None))
    if endpoint_id is not None:
        mine = mine.where(columns.endpoint_id == endpoint_id)
    mine = mine.where(or_(columns.expires_at.is_(None), columns.expires_at > now_us))
    mine = mine.where(tuple_(columns.endpoint_id, columns.secret_id) > after)
    return mine.order_by(columns.endpoint_id, columns.secret_id).limit(limit)
