"""`waypost token`: the API tokens of an account."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from cyclopts import App, Parameter

from waypost.cli.connection import Connection
from waypost.cli.output import AsJson, local_time, print_json, print_table, remark, say
from waypost.client import segment

Scope = Literal["shipments:write", "endpoints:write", "read"]
ALL_SCOPES: tuple[Scope, ...] = ("shipments:write", "endpoints:write", "read")

app = App(name="token", help="Make, list and revoke the API tokens of an account.")


class Token(msgspec.Struct, frozen=True):
    """A token as the API lists it, and once as it is made."""

    id: str
    name: str | None = None
    scopes: tuple[str, ...] = ()
    created_at: datetime | None = None
    revoked_at: datetime | None = None
    token: str | None = None


def _path(connection: Connection) -> str:
    return f"/v1/accounts/{segment(connection.account or 'default')}/tokens"


@app.command
def create(
    name: str,
    *,
    scope: Annotated[tuple[Scope, ...], Parameter(show_default=False)] = ALL_SCOPES,
    json: AsJson = False,
    connection: Connection | None = None,
) -> None:
    """Make a token and print it, this once.

    ```
    waypost token create tms --scope shipments:write --scope read
    ```

    Parameters
    ----------
    name
        What the token is for; it stands in the log beside what was done with it.
    scope
        What the token allows; give it once for each scope. Default: all three.
    """
    connection = connection or Connection()
    body = connection.open().call("POST", _path(connection), {"name": name, "scopes": scope}).body
    if json:
        return print_json(body)
    made = msgspec.json.decode(body, type=Token)
    say(made.token or "")
    return remark(f"This is token {made.id} for {', '.join(made.scopes)}. It is not shown again.")


@app.command(name="list")
def list_tokens(*, json: Annotated[bool, Parameter(negative="")] = False, connection: Connection | None = None) -> None:
    """List the tokens of an account, without their values.

    ```
    waypost token list --account fossvik
    ```
    """
    connection = connection or Connection()
    items = list(connection.open().items(_path(connection)))
    if json:
        return print_json({"items": items, "next": None})
    tokens = [msgspec.json.decode(item, type=Token) for item in items]
    rows = [
        (token.id, token.name, " ".join(token.scopes), local_time(token.created_at), local_time(token.revoked_at))
        for token in tokens
    ]
    return print_table(("id", "name", "scopes", "created", "revoked"), rows)


@app.command
def revoke(token_id: str, *, connection: Connection | None = None) -> None:
    """Revoke a token: it fails from the next request on.

    ```
    waypost token revoke tok_01KC0000000000000000000000
    ```

    Parameters
    ----------
    token_id
        The id that `waypost token list` shows, not the token itself.
    """
    connection = connection or Connection()
    connection.open().call("DELETE", f"{_path(connection)}/{segment(token_id)}")
    remark(f"Token {token_id} is revoked.")
