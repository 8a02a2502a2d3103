"""Accounts and the tokens that act for them."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, delete, insert, select, update

from waypost.clock import from_micros
from waypost.errors import Conflict, InvalidDocument, NotFound
from waypost.ids import AccountId
from waypost.log.cursors import page_of, read_name_cursor
from waypost.log.database import insert_into
from waypost.log.records import Account, AccountSettings, Page, Principal, TokenRecord
from waypost.log.tables import accounts, alerts, sessions, tokens
from waypost.log.transaction import Tx, Unit

DEFAULT_ACCOUNT = AccountId("default")
OPERATOR_TOKEN_ID = "tok_operator"  # noqa: S105 - the name of a row
TOKEN_PREFIX = "wp_"  # noqa: S105 - what a token begins with, so that scanners for leaked secrets know it
ACCOUNT_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class MadeToken:
    """A token just made, with the token itself: the only time it is seen."""

    record: TokenRecord
    token: str = field(repr=False)


def token_hash(token: str) -> bytes:
    """The form in which a token is kept. A token is 256 random bits, so a plain hash cannot be guessed back."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


# -- units -------------------------------------------------------------------------------------------------------------


def create_account(account_id: str | None, name: str, settings: AccountSettings | None = None) -> Unit[Account]:
    """Make an account; its id is made up when left out. InvalidDocument for a malformed id, Conflict when it exists."""
    if account_id is not None and not ACCOUNT_ID.fullmatch(account_id):
        raise InvalidDocument("An account's id is 1 to 64 of a-z, 0-9 and -, with no - at its ends.", path="/id")

    def work(tx: Tx) -> Account:
        made = AccountId(account_id or tx.ids.new("acc-", tx.now).lower())
        if tx.connection.execute(account_row(made)).first() is not None:
            raise Conflict(f'The account "{made}" exists already.', path="/id")
        _insert_account(tx, made, name, settings or AccountSettings())
        return Account(made, name, settings or AccountSettings(), 0, tx.now)

    return Unit(AccountId(account_id or ""), work)


def change_account(account_id: AccountId, name: str | None, settings: AccountSettings | None) -> Unit[Account]:
    """Change an account's name, its settings, or both; None leaves them. Applies to the reports after it."""

    def work(tx: Tx) -> Account:
        before = read_account(tx.connection, account_id)
        after = {"name": name or before.name, "settings": _encode_settings(settings or before.settings)}
        tx.connection.execute(update(accounts).where(accounts.c.account_id == account_id).values(**after))
        if settings is not None:
            tx.head(account_id).settings = settings
            _follow(tx, account_id, tx.head(account_id).position, settings.alert_email)
            if settings.alert_email != before.settings.alert_email:
                _try_at_once(tx, account_id)
        return read_account(tx.connection, account_id)

    return Unit(account_id, work, locks=True)


def create_token(account_id: AccountId, name: str, scopes: Sequence[str]) -> Unit[MadeToken]:
    """Make a token for an account. NotFound when there is no such account."""

    def work(tx: Tx) -> MadeToken:
        read_account(tx.connection, account_id)
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        token_id = tx.ids.new("tok_", tx.now)
        _insert_token(tx, account_id, token_id, token, name, scopes, operator=False)
        return MadeToken(TokenRecord(account_id, token_id, name, tuple(scopes), False, tx.now), token)

    return Unit(account_id, work)


def revoke_token(account_id: AccountId, token_id: str) -> Unit[None]:
    """End a token: it fails from the next request on. NotFound when there is no such token; twice is as once."""

    def work(tx: Tx) -> None:
        mine = (tokens.c.account_id == account_id) & (tokens.c.token_id == token_id)
        if "\0" in token_id or tx.connection.execute(select(tokens.c.token_id).where(mine)).first() is None:
            raise NotFound(f'There is no token "{token_id}".')
        ended = update(tokens).where(mine, tokens.c.revoked_at.is_(None)).values(revoked_at=tx.now_us)
        tx.connection.execute(ended)
        tx.tokens_changed = True

    return Unit(account_id, work)


def ensure_operator(token: str) -> Unit[None]:
    """Make the account `default` and let `token`, and no other, be the operator's. Another one signs who had it out."""

    def work(tx: Tx) -> None:
        if tx.connection.execute(account_row(DEFAULT_ACCOUNT)).first() is None:
            _insert_account(tx, DEFAULT_ACCOUNT, "Default", AccountSettings())
        if tx.connection.execute(live_token(token_hash(token))).first() is None:
            tx.connection.execute(delete(sessions).where(sessions.c.kind == "operator"))
        _insert_token(tx, DEFAULT_ACCOUNT, OPERATOR_TOKEN_ID, token, "operator", (), operator=True)
        tx.tokens_changed = True

    return Unit(DEFAULT_ACCOUNT, work)


def _insert_account(tx: Tx, account_id: AccountId, name: str, settings: AccountSettings) -> None:
    row = {"account_id": account_id, "name": name, "position": 0, "created_at": tx.now_us}
    tx.connection.execute(insert(accounts), row | {"settings": _encode_settings(settings)})
    _follow(tx, account_id, 0, settings.alert_email)


def _follow(tx: Tx, account_id: AccountId, position: int, alert_email: str | None) -> None:
    """Begin to tell an account of what comes after `position`, or cease to when it has no address any more."""
    mine = alerts.c.account_id == account_id
    if alert_email is None:
        tx.connection.execute(delete(alerts).where(mine))
    elif tx.connection.execute(select(alerts.c.position).where(mine)).first() is None:
        row = {"account_id": account_id, "position": position, "due_at": tx.now_us, "failures": 0}
        tx.connection.execute(insert(alerts), row)


def _try_at_once(tx: Tx, account_id: AccountId) -> None:
    """Forget the pause that the address before has earned."""
    mine = alerts.c.account_id == account_id, alerts.c.failures > 0
    tx.connection.execute(update(alerts).where(*mine).values(due_at=tx.now_us, failures=0))


def _insert_token(
    tx: Tx, account_id: AccountId, token_id: str, token: str, name: str, scopes: Sequence[str], *, operator: bool
) -> None:
    row = {
        "account_id": account_id,
        "token_id": token_id,
        "token_hash": token_hash(token),
        "name": name,
        "scopes": " ".join(scopes),
        "operator": operator,
        "created_at": tx.now_us,
    }
    statement = insert_into(tx.dialect, tokens)
    replaced = {"token_hash": statement.excluded.token_hash, "revoked_at": None}
    statement = statement.on_conflict_do_update(index_elements=["account_id", "token_id"], set_=replaced)
    tx.connection.execute(statement, row)


def _encode_settings(settings: AccountSettings) -> str:
    return msgspec.json.encode(settings).decode()


# -- reading -----------------------------------------------------------------------------------------------------------


def authenticate(connection: Connection, digest: bytes) -> Principal | None:
    """Give who the token with this `token_hash` stands for, or None for one that is unknown or revoked."""
    row = connection.execute(live_token(digest)).first()
    if row is None:
        return None
    return Principal(AccountId(row.account_id), row.token_id, row.name, frozenset(row.scopes.split()), row.operator)


def read_account(connection: Connection, account_id: AccountId) -> Account:
    """Give an account, or raise NotFound."""
    row = None if "\0" in account_id else connection.execute(account_row(account_id)).first()
    if row is None:
        raise NotFound(f'There is no account "{account_id}".')
    return _account(row)


def account_exists(connection: Connection, account_id: AccountId) -> bool:
    """Whether there is such an account."""
    return "\0" not in account_id and connection.execute(account_row(account_id)).first() is not None


def list_accounts(connection: Connection, limit: int, cursor: str | None) -> Page[Account]:
    """Give a page of accounts by id. Only for operators."""
    rows = connection.execute(accounts_after(read_name_cursor(cursor), limit + 1)).all()
    return page_of([_account(row) for row in rows], limit, lambda account: account.account_id)


def list_tokens(connection: Connection, account_id: AccountId, limit: int, cursor: str | None) -> Page[TokenRecord]:
    """Give a page of an account's tokens, the oldest first, revoked ones included."""
    rows = connection.execute(tokens_after(account_id, read_name_cursor(cursor), limit + 1)).all()
    return page_of([_token(row) for row in rows], limit, lambda token: token.token_id)


def _account(row: Row[Any]) -> Account:
    settings = msgspec.json.decode(row.settings, type=AccountSettings)
    return Account(AccountId(row.account_id), row.name, settings, row.position, from_micros(row.created_at))


def _token(row: Row[Any]) -> TokenRecord:
    revoked_at = None if row.revoked_at is None else from_micros(row.revoked_at)
    scopes = tuple(row.scopes.split())
    created_at = from_micros(row.created_at)
    return TokenRecord(AccountId(row.account_id), row.token_id, row.name, scopes, row.operator, created_at, revoked_at)


# -- statements --------------------------------------------------------------------------------------------------------


def live_token(digest: bytes) -> Select[Any]:
    """The token with this hash, if it is not revoked. By tokens_hash_once, before an account is known."""
    columns = tokens.c
    live = select(columns.account_id, columns.token_id, columns.name, columns.scopes, columns.operator)
    return live.where(columns.token_hash == digest, columns.revoked_at.is_(None))


def _account_columns() -> Select[Any]:
    columns = accounts.c
    return select(columns.account_id, columns.name, columns.settings, columns.position, columns.created_at)


def account_row(account_id: AccountId) -> Select[Any]:
    """One account. By the primary key."""
    return _account_columns().where(accounts.c.account_id == account_id)


def accounts_after(account_id: str, limit: int) -> Select[Any]:
    """Accounts past `account_id`, at most `limit`. Walks the primary key."""
    return _account_columns().where(accounts.c.account_id > account_id).order_by(accounts.c.account_id).limit(limit)


def tokens_after(account_id: AccountId, token_id: str, limit: int) -> Select[Any]:
    """The tokens of an account past `token_id`, at most `limit`. Walks the primary key."""
    columns = tokens.c
    mine = select(
        columns.account_id, columns.token_id, columns.name, columns.scopes, columns.operator, columns.created_at,
        columns.revoked_at,
    )  # fmt: skip
    mine = mine.where(columns.account_id == account_id, columns.token_id > token_id)
    return mine.order_by(columns.token_id).limit(limit)
