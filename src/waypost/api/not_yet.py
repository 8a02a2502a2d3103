"""What the contract describes and this version cannot do yet: the one list of it.

Nothing on it is silently ignored: an operation is refused once the caller was let in, and is not in the OpenAPI
document. The page of the API says so.
"""

from typing import Any

from waypost.api.operations import Access, Answer, Method, Operation
from waypost.errors import CallerError

GROUP = "Later"


class NotAvailable(CallerError):
    """This version cannot do that."""

    type, status = "not-available", 422


def _later(method: Method, path: str, access: Access, name: str, words: str) -> Operation:
    async def refuse(call: object) -> Any:
        raise NotAvailable(f"{words} not available in this version.")

    return Operation(
        method=method,
        path=path,
        name=name,
        access=access,
        group=GROUP,
        summary=words,
        description="",
        answers=(Answer(status=200),),
        body=None,
        queries={},
        problems=(),
        takes_if_match=False,
        handler=refuse,
    )


OPERATIONS = (
    _later("POST", "/v1/accounts/{id}/portal-links", Access.OPERATOR, "create_portal_link", "Portal links are"),
)
