"""`waypost sign-in-link`: a link that lets somebody in to the pages."""

import msgspec

from waypost.cli.connection import Connection
from waypost.cli.output import AsJson, print_json, remark, say
from waypost.client import segment


def sign_in_link(*, email: str | None = None, json: AsJson = False, connection: Connection | None = None) -> None:
    """Make a link that lets the first owner of an account in, or somebody who forgot their password. It works once.

    ```
    waypost sign-in-link
    waypost sign-in-link --account fossvik
    waypost sign-in-link --email helga@fossvik.example
    ```

    Parameters
    ----------
    email
        Somebody of the account, who then chooses another password. Default: the link makes an owner.
    """
    connection = connection or Connection()
    path = f"/v1/accounts/{segment(connection.account or 'default')}/sign-in-links"
    body = connection.open().call("POST", path, {"email": email}).body
    if json:
        return print_json(body)
    made = msgspec.json.decode(body)
    say(made["url"])
    return remark(f"It works once, until {made['expires_at']}.")
