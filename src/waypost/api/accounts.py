"""Accounts and their tokens: for operators only."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from waypost.api import examples
from waypost.api.admission import read_account_id
from waypost.api.bodies import check_object, read_object
from waypost.api.call import Call
from waypost.api.checks import Check, check_fields, nullable, one_of, text, whole_number
from waypost.api.endpoint_settings import merge_patch
from waypost.api.listing import page
from waypost.api.once import answer_once
from waypost.api.operations import SCOPES, Access, Answer, Body, Table
from waypost.api.queries import CURSOR, LIMIT
from waypost.api.reply import NO_CONTENT, Reply, json_reply
from waypost.api.shapes import Account, AccountPatch, NewAccount, NewToken, Page, Portal, Token, TokenOnce
from waypost.errors import FieldError
from waypost.ids import AccountId
from waypost.log import Account as AccountRecord
from waypost.log import AccountSettings, MadeToken, TokenRecord, Tx, Unit, units
from waypost.log.auditing import audited
from waypost.mail_server import is_address
from waypost.shipments.codes import time_zones

TABLE = Table("Accounts")

NAME_LENGTH_MAX = 200
ETA_THRESHOLD_MINUTES_MAX = 7 * 24 * 60
STALE_AFTER_HOURS_MAX = 365 * 24
ORIGINS_MAX = 50
URL_LENGTH_MAX = 2048

_ORIGIN = re.compile(r"https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")

_name = text(NAME_LENGTH_MAX, length_min=1)


def _form(pattern: re.Pattern[str], words: str) -> Check:
    def check(value: Any, path: str) -> list[FieldError]:
        fits = isinstance(value, str) and pattern.fullmatch(value) is not None
        return [] if fits else [FieldError(path, f"must be {words}")]

    return check


def _email(value: Any, path: str) -> list[FieldError]:
    if isinstance(value, str) and is_address(value):
        return []
    return [FieldError(path, "must be an e-mail address in ASCII, such as ops@example.com")]


def _time_zone(value: Any, path: str) -> list[FieldError]:
    if isinstance(value, str) and value in time_zones():
        return []
    return [FieldError(path, "must be a name of the IANA time zone database, such as Europe/Tallinn")]


def _origins(value: Any, path: str) -> list[FieldError]:
    if not isinstance(value, list) or len(value) > ORIGINS_MAX:
        return [FieldError(path, f"must be a list of at most {ORIGINS_MAX} origins")]
    check = _form(_ORIGIN, "an origin such as https://tms.example, in lower case and without a path")
    return [error for place, origin in enumerate(value) for error in check(origin, f"{path}/{place}")]


_PORTAL: Mapping[str, Check] = {
    "origins": _origins,
    "accent": nullable(_form(_COLOUR, "a colour such as #155e8a")),
    "logo_url": nullable(_form(re.compile(rf"https://\S{{1,{URL_LENGTH_MAX}}}"), "an https URL")),
}


def _portal(value: Any, path: str) -> list[FieldError]:
    if not isinstance(value, dict):
        return [FieldError(path, "must be an object")]
    return check_fields(value, _PORTAL, path)


_SETTINGS: Mapping[str, Check] = {
    "name": _name,
    "alert_email": nullable(_email),
    "time_zone": nullable(_time_zone),
    "eta_threshold_minutes": whole_number(0, ETA_THRESHOLD_MINUTES_MAX),
    "stale_after_hours": nullable(whole_number(1, STALE_AFTER_HOURS_MAX)),
    "portal": _portal,
}


def _scopes(value: Any, path: str) -> list[FieldError]:
    if not isinstance(value, list) or not value:
        return [FieldError(path, f"must be a list with at least one of {', '.join(SCOPES)}")]
    return [error for place, scope in enumerate(value) for error in one_of(*SCOPES)(scope, f"{path}/{place}")]


@TABLE.add(
    "POST",
    "/v1/accounts",
    access=Access.OPERATOR,
    summary="Make an account",
    body=Body(type=NewAccount, examples={"A carrier": examples.ACCOUNT}),
    answers=Answer(status=201, type=Account, description="The account."),
    problems=[409],
)
async def create_account(call: Call) -> Reply:
    """Make an account. Its id is made up when left out; one that exists already is 409."""
    given = read_object(await call.body())
    # What makes an id an id is the log's to say.
    check_object(given, {"id": text(64), **_SETTINGS}, required=("name",))
    settings = _settings({name: value for name, value in given.items() if name not in ("id", "name")})
    work = units.create_account(given.get("id"), given["name"], settings)
    made = audited(
        work, call.actor, "account.created", lambda account: account.account_id, account_of=lambda one: one.account_id
    )
    return await answer_once(call, made, lambda account: json_reply(_account(account), 201))


@TABLE.add(
    "GET",
    "/v1/accounts",
    access=Access.OPERATOR,
    summary="List accounts",
    queries=[LIMIT, CURSOR],
    answers=Answer(status=200, type=Page[Account], description="A page, by id."),
)
async def list_accounts(call: Call) -> Reply:
    """Give a page of accounts."""
    listed = await call.services.log.list_accounts(call.query("limit"), call.query("cursor"))
    return page(map(_account, listed.items), listed.next)


@TABLE.add(
    "GET",
    "/v1/accounts/{id}",
    access=Access.OPERATOR,
    summary="Read an account",
    answers=Answer(status=200, type=Account, description="The account."),
)
async def get_account(call: Call) -> Reply:
    """Give one account."""
    return json_reply(_account(await call.services.log.get_account(_account_id(call))))


@TABLE.add(
    "PATCH",
    "/v1/accounts/{id}",
    access=Access.OPERATOR,
    summary="Change an account",
    body=Body(
        type=AccountPatch,
        examples={"Times in Tallinn": {"time_zone": "Europe/Tallinn"}},
        media_types=("application/json", "application/merge-patch+json"),
    ),
    answers=Answer(status=200, type=Account, description="The account."),
)
async def patch_account(call: Call) -> Reply:
    """Change what you give, as a JSON merge patch; null brings a field back to its default.

    The ETA threshold applies to the reports after the change. With `stale_after_hours` an active shipment that has
    had no scan for that long is told by `tracking.stale`, once; null turns it off.
    """
    account_id = _account_id(call)
    patch = read_object(await call.body())

    def change(tx: Tx) -> AccountRecord:
        before = units.read_account(tx, account_id)
        merged = merge_patch({"name": before.name, **msgspec.json.decode(msgspec.json.encode(before.settings))}, patch)
        unknown = {name: value for name, value in patch.items() if name not in _SETTINGS}
        check_object({**merged, **unknown}, _SETTINGS, required=("name",))
        name = merged.pop("name")
        return units.change_account(account_id, name, _settings(merged)).work(tx)

    work = Unit(account_id, change, locks=True)
    changed = audited(work, call.actor, "account.changed", account_id, ", ".join(sorted(patch)))
    return await answer_once(call, changed, lambda account: json_reply(_account(account)))


@TABLE.add(
    "POST",
    "/v1/accounts/{id}/tokens",
    access=Access.OPERATOR,
    summary="Make a token",
    body=Body(type=NewToken, examples={"For a TMS": examples.TOKEN}),
    answers=Answer(status=201, type=TokenOnce, description="The token, shown this once."),
)
async def create_token(call: Call) -> Reply:
    """Make an API token of the account. Without `scopes` it has all three."""
    account_id = _account_id(call)
    given = read_object(await call.body())
    check_object(given, {"name": _name, "scopes": _scopes}, required=("name",))
    scopes = [scope for scope in SCOPES if scope in given.get("scopes", SCOPES)]

    def render(made: MadeToken) -> Reply:
        return json_reply(TokenOnce(**msgspec.structs.asdict(_token(made.record)), token=made.token), 201)

    work = units.create_token(account_id, given["name"], scopes)
    made = audited(work, call.actor, "token.created", lambda one: one.record.token_id, given["name"])
    return await answer_once(call, made, render, secret=True)


@TABLE.add(
    "GET",
    "/v1/accounts/{id}/tokens",
    access=Access.OPERATOR,
    summary="List tokens",
    queries=[LIMIT, CURSOR],
    answers=Answer(status=200, type=Page[Token], description="A page, the oldest first, revoked ones too."),
)
async def list_tokens(call: Call) -> Reply:
    """Give a page of the account's tokens, without the tokens themselves: only their hashes are kept."""
    account = await call.services.log.get_account(_account_id(call))
    listed = await call.services.log.list_tokens(account.account_id, call.query("limit"), call.query("cursor"))
    return page(map(_token, listed.items), listed.next)


@TABLE.add(
    "DELETE",
    "/v1/accounts/{id}/tokens/{token_id}",
    access=Access.OPERATOR,
    summary="Revoke a token",
    answers=Answer(status=204, description="Revoked: it fails from the next request on."),
)
async def revoke_token(call: Call) -> Reply:
    """Revoke a token. Revoking it again changes nothing."""
    token_id = call.path_id("tok_", "token_id")
    work = units.revoke_token(_account_id(call), token_id)
    await call.services.log.do(audited(work, call.actor, "token.revoked", token_id))
    return NO_CONTENT


def _account_id(call: Call) -> AccountId:
    return read_account_id(call.path_text("id"))


def _settings(given: Mapping[str, Any]) -> AccountSettings:
    return msgspec.json.decode(msgspec.json.encode(given), type=AccountSettings)


def _account(record: AccountRecord) -> Account:
    settings = record.settings
    return Account(
        id=record.account_id,
        name=record.name,
        alert_email=settings.alert_email,
        time_zone=settings.time_zone,
        eta_threshold_minutes=settings.eta_threshold_minutes,
        stale_after_hours=settings.stale_after_hours,
        portal=msgspec.json.decode(msgspec.json.encode(settings.portal), type=Portal),
        created_at=record.created_at,
    )


def _token(record: TokenRecord) -> Token:
    return Token(
        id=record.token_id,
        name=record.name,
        scopes=list(record.scopes),
        created_at=record.created_at,
        revoked_at=record.revoked_at,
    )
