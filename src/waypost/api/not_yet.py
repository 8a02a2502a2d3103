"""What the contract describes and this version cannot do yet: the one list of it.

Nothing on it is silently ignored. A field with such a value is checked like any other and then refused; an operation
is refused once the caller was let in, and is not in the OpenAPI document. The pages of the reference say all of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from waypost.api.operations import Access, Answer, Method, Operation
from waypost.errors import CallerError, FieldError

GROUP = "Later"


class NotAvailable(CallerError):
    """This version cannot do that."""

    type, status = "not-available", 422


@dataclass(frozen=True, slots=True)
class FieldLimit:
    """A field of an endpoint, and the only value that this version does something with."""

    field: str
    only: str
    """The value as JSON, for the reader."""
    is_fine: Callable[[Any], bool]


FIELDS = (FieldLimit("coalesce", "false", lambda value: value is False),)


def refused_fields(given: Mapping[str, Any]) -> list[FieldError]:
    """List the fields in `given`, whose shapes were found right, with values that this version cannot honour."""
    return [
        FieldError(f"/{limit.field}", f"is not available in this version; leave it out or give {limit.only}")
        for limit in FIELDS
        if limit.field in given and not limit.is_fine(given[limit.field])
    ]


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
