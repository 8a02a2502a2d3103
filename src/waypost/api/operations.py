"""The table of operations: for each its path, who may call it, what it takes and answers, and what does it.

The router, the checks before a handler runs and the OpenAPI document all read this one table, so what is documented
is what happens. A resource module fills its part with the `Table.add` decorator.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from waypost.api.queries import Query
from waypost.api.reply import Answerable

if TYPE_CHECKING:
    from waypost.api.call import Call

Method = Literal["GET", "PUT", "PATCH", "POST", "DELETE"]
Handler = Callable[["Call"], Awaitable[Answerable]]

JSON_BYTES_MAX = 1024 * 1024
BULK_BYTES_MAX = 64 * 1024 * 1024


class Access(Enum):
    """Who may call an operation."""

    PUBLIC = "public"
    READ = "read"
    SHIPMENTS = "shipments:write"
    ENDPOINTS = "endpoints:write"
    OPERATOR = "operator"
    METRICS = "metrics"
    """Operators, unless the settings make the figures public."""
    SOURCE = "source"
    """No API token: the message carries its source's own signature."""


SCOPES = (Access.SHIPMENTS.value, Access.ENDPOINTS.value, Access.READ.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What an operation takes: `type` gives the schema, `examples` are whole bodies by their title."""

    type: Any
    examples: Mapping[str, Any] = field(default_factory=dict)
    media_types: tuple[str, ...] = ("application/json",)
    required: bool = True
    bytes_max: int = JSON_BYTES_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One way an operation answers when all is well. `type` None means no JSON, a tuple any of its types."""

    status: int
    type: Any = None
    description: str = "Done."
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Header names with what each says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of the API. `name` is unique and is the operationId of the OpenAPI document."""

    method: Method
    path: str
    name: str
    access: Access
    group: str
    summary: str
    description: str
    answers: tuple[Answer, ...]
    body: Body | None
    queries: Mapping[str, Query]
    problems: tuple[int, ...]
    """Statuses of failure that are this operation's own, besides those that follow from the rest of its row."""
    takes_if_match: bool
    handler: Handler

    @property
    def takes_idempotency_key(self) -> bool:
        """Repeating is made safe where it would not be so by itself: POST and PATCH under a token."""
        return self.method in ("POST", "PATCH") and self.access not in (Access.PUBLIC, Access.SOURCE)


class Table:
    """The operations of one resource, in the order in which they are documented."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.operations: list[Operation] = []

    def add(
        self,
        method: Method,
        path: str,
        *,
        access: Access,
        summary: str,
        answers: Answer | Sequence[Answer],
        body: Body | None = None,
        queries: Sequence[Query] = (),
        problems: Sequence[int] = (),
        takes_if_match: bool = False,
    ) -> Callable[[Handler], Handler]:
        """Enter the decorated function as the operation of `method` and `path`; its docstring is the description."""

        def enter(handler: Handler) -> Handler:
            operation = Operation(
                method=method,
                path=path,
                name=handler.__name__,
                access=access,
                group=self.group,
                summary=summary,
                description=_paragraphs(handler.__doc__ or ""),
                answers=(answers,) if isinstance(answers, Answer) else tuple(answers),
                body=body,
                queries={query.name: query for query in queries},
                problems=tuple(problems),
                takes_if_match=takes_if_match,
                handler=handler,
            )
            self.operations.append(operation)
            return handler

        return enter


def _paragraphs(docstring: str) -> str:
    """Give a docstring as flowing text: the line breaks inside a paragraph are the editor's, not the reader's."""
    paragraphs = docstring.split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).strip()
