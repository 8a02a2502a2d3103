"""The API tokens of an account: made, shown once, revoked."""

from typing import Any

from litestar import Response, get, post

from waypost.api.operations import SCOPES
from waypost.dashboard.forms import Typed, refused, typed
from waypost.dashboard.visit import PageRequest, Visit
from waypost.errors import InvalidDocument, NotFound
from waypost.log.accounts import OPERATOR_TOKEN_ID

TOKENS = "/settings/account/tokens"


@get(TOKENS)
async def tokens_page(visit: Visit) -> Response[str]:
    """Show the tokens, without the tokens themselves."""
    return await _page(visit, Typed(dict.fromkeys(SCOPES, "on")))


@post(TOKENS, status_code=200)
async def make_token(visit: Visit, request: PageRequest) -> Response[str]:
    """Make a token and show it this once."""
    form = typed((await request.form()).multi_items())
    body = {"name": form["name"].strip(), "scopes": [scope for scope in SCOPES if form.on(scope)]}
    try:
        made = await visit.call("create_token", body=body)
    except InvalidDocument as error:
        return await _page(visit, refused(form, error), status=422)
    return visit.page("token_made.html", active="tokens", made=made)


@post(f"{TOKENS}/{{token_id:str}}/revoke", status_code=200)
async def revoke_token(visit: Visit, token_id: str) -> Response[Any]:
    """Revoke a token: it fails from the next request on."""
    visit.require("owner")
    if token_id == OPERATOR_TOKEN_ID:  # it is of the server, and not of the account that it stands in
        raise NotFound(visit.words("There is no such token."))
    await visit.call("revoke_token", path={"token_id": token_id})
    return visit.go(TOKENS, said=visit.words("The token is revoked."))


async def _page(visit: Visit, form: Typed, *, status: int = 200) -> Response[str]:
    cursor = visit.request.query_params.get("cursor")
    listed = await visit.call("list_tokens", query={"limit": 100, "cursor": cursor})
    shown = [token for token in listed["items"] if token["id"] != OPERATOR_TOKEN_ID]
    return visit.page(
        "tokens.html", status=status, active="tokens", form=form, tokens=shown, next=listed["next"], scopes=SCOPES
    )


HANDLERS = [tokens_page, make_token, revoke_token]
