"""Who may call what: the token, its scopes, and the account it acts on."""

from waypost.api.call import Call
from waypost.api.operations import Access
from waypost.errors import Forbidden, NotFound, Unauthorized
from waypost.ids import AccountId
from waypost.log import Principal
from waypost.log.accounts import DEFAULT_ACCOUNT

TOKEN_LENGTH_MAX = 512
ACCOUNT_ID_LENGTH_MAX = 64

# Looked up once: a member reached through its class costs as much as the rest of the check.
_WITHOUT_TOKEN = (Access.PUBLIC, Access.SOURCE)
_FOR_OPERATORS = (Access.OPERATOR, Access.METRICS)
_METRICS = Access.METRICS


async def admit(call: Call) -> None:
    """Let the call pass, with its principal and account set, or raise Unauthorized, Forbidden or NotFound."""
    access = call.operation.access
    if access in _WITHOUT_TOKEN:
        return
    if access is _METRICS and call.services.metrics_public:
        return
    token = _bearer_token(call.header(b"authorization"))
    principal = await call.services.log.authenticate(token)
    if principal is None:
        raise Unauthorized("The token is unknown or was revoked.")
    check_scope(principal, access)
    call.principal = principal
    call.account_id = await _account(call, principal)
    if call.shared.tokens is not None:
        call.shared.tokens.take(principal.token_id)


def _bearer_token(header: str | None) -> str:
    scheme, _, token = (header or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized("Send an API token: Authorization: Bearer TOKEN.")
    if len(token) > TOKEN_LENGTH_MAX or not token.isascii() or not token.isprintable():
        raise Unauthorized("The token is unknown or was revoked.")
    return token


def check_scope(principal: Principal, access: Access) -> None:
    """Refuse with Forbidden what is not the principal's to do."""
    if principal.operator:
        return
    if access in _FOR_OPERATORS:
        raise Forbidden("Only an operator's token may do this.")
    if access.value not in principal.scopes:
        raise Forbidden(f"The token lacks the scope {access.value}.")


async def _account(call: Call, principal: Principal) -> AccountId:
    """The account to act on: a token's own, or for an operator the one that `Waypost-Account` names."""
    named = call.header(b"waypost-account")
    if not principal.operator:
        if named is not None and named != principal.account_id:
            raise Forbidden("The token belongs to another account than Waypost-Account names.")
        return principal.account_id
    if named is None or named == DEFAULT_ACCOUNT:
        return DEFAULT_ACCOUNT
    account_id = read_account_id(named)
    if not await call.services.log.account_exists(account_id):
        raise NotFound("There is no account with the id that Waypost-Account names.")
    return account_id


def read_account_id(text: str) -> AccountId:
    """Give the id of an account; one that cannot be an id is unknown, and no database is asked."""
    if not 1 <= len(text) <= ACCOUNT_ID_LENGTH_MAX or not text.isascii() or not text.isprintable():
        raise NotFound("There is no account with this id.")
    return AccountId(text)
