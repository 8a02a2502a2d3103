"""Answers kept for 24 hours under their Idempotency-Key, in the same transaction as what they answer.

The scope of a key is account, method and path. Since units run one after another, a second request with the same key
always finds the first one's answer, or runs because the first came to nothing.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, bindparam, delete, select

from waypost.errors import IdempotencyMismatch
from waypost.ids import AccountId, ShipmentId
from waypost.log.database import insert_into
from waypost.log.records import Answer
from waypost.log.tables import idempotency
from waypost.log.transaction import Once, Tx
from waypost.log.vault import place

KEPT_US = 24 * 3600 * 1_000_000
NOT_KEPT = frozenset({401, 403, 429})  # they say something of the moment, not of the request

Scope = tuple[AccountId, bytes]


def scope_of(account_id: AccountId, once: Once[Any]) -> Scope:
    """Where the answer to this request is kept."""
    return account_id, hashlib.sha256(f"{once.method}\0{once.path}\0{once.key}".encode()).digest()


def is_kept(answer: Answer) -> bool:
    """Whether a repeated request is given this answer again."""
    return 200 <= answer.status < 500 and answer.status not in NOT_KEPT


def kept_answers(account_id: AccountId, scopes: list[bytes], kept_since: int) -> Select[Any]:
    """The answers kept under `scopes` since `kept_since`. Walks the primary key."""
    columns = idempotency.c
    mine = select(columns.scope, columns.body_sha256, columns.status, columns.headers, columns.body, columns.sealed)
    mine = mine.where(columns.account_id == account_id, columns.scope.in_(bindparam("scopes", scopes, expanding=True)))
    return mine.where(columns.created_at > kept_since)


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer, the body it answered, and the shipment whose data it holds, if any."""

    body_sha256: bytes
    answer: Answer
    shipment_id: ShipmentId | None = None

    def answer_to(self, once: Once[Any]) -> Answer | IdempotencyMismatch:
        """What a request with the same key is given: the same answer, or a refusal if its body is another one."""
        if self.body_sha256 == once.body_sha256:
            return self.answer
        return IdempotencyMismatch("This Idempotency-Key was used with another body within 24 hours. Use a new key.")


def recall(tx: Tx, scopes: Iterable[Scope]) -> dict[Scope, KeptAnswer]:
    """Give the answers that are kept for these scopes."""
    by_account: dict[AccountId, list[bytes]] = {}
    for account_id, digest in scopes:
        by_account.setdefault(account_id, []).append(digest)
    found: dict[Scope, KeptAnswer] = {}
    for account_id, digests in by_account.items():
        for row in tx.connection.execute(kept_answers(account_id, digests, tx.now_us - KEPT_US)):
            scope = (account_id, bytes(row.scope))
            found[scope] = _kept(tx, scope, row)
    return found


def _kept(tx: Tx, scope: Scope, row: Row[Any]) -> KeptAnswer:
    body = tx.vault.open(row.body, _place(scope)) if row.sealed else bytes(row.body)
    answer = Answer(row.status, msgspec.json.decode(row.headers, type=dict[str, str]), body)
    return KeptAnswer(bytes(row.body_sha256), answer)


def keep(tx: Tx, kept: Iterable[tuple[Scope, KeptAnswer, Once[Any]]]) -> None:
    """Keep these answers. Each takes the place of one that has run out."""
    rows = [_row(tx, scope, answer, sealed=once.secret) for scope, answer, once in kept]
    if not rows:
        return
    statement = insert_into(tx.dialect, idempotency)
    fresh = {name: statement.excluded[name] for name in rows[0] if name not in ("account_id", "scope")}
    tx.connection.execute(statement.on_conflict_do_update(index_elements=["account_id", "scope"], set_=fresh), rows)


def _row(tx: Tx, scope: Scope, kept: KeptAnswer, *, sealed: bool) -> dict[str, object]:
    body = kept.answer.body
    return {
        "account_id": scope[0],
        "scope": scope[1],
        "body_sha256": kept.body_sha256,
        "status": kept.answer.status,
        "headers": msgspec.json.encode(dict(kept.answer.headers)).decode(),
        "body": tx.vault.seal(body, _place(scope)) if sealed else body,
        "sealed": sealed,
        "shipment_id": kept.shipment_id,
        "created_at": tx.now_us,
    }


def _place(scope: Scope) -> bytes:
    return place("idempotency", scope[0], scope[1].hex())


def forget_answers_of_shipment(connection: Connection, account_id: AccountId, shipment_id: ShipmentId) -> None:
    """Drop the answers that hold data of an erased shipment. By idempotency_by_shipment."""
    mine = (idempotency.c.account_id == account_id) & (idempotency.c.shipment_id == shipment_id)
    connection.execute(delete(idempotency).where(mine))
