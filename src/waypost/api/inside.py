"""The operations of the API for the pages of the same process: the same handlers, checks and limits, without HTTP.

A page never reads or changes anything in a way of its own. What differs is who asks: a person with a session instead of
a program with a token.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from waypost.api.admission import check_scope
from waypost.api.call import Call
from waypost.api.operations import Operation
from waypost.api.reply import Message, Reply, encode_json
from waypost.api.shared import Shared
from waypost.ids import AccountId
from waypost.log import Principal

Values = Mapping[str, object]


class Inside:
    """Calls operations by their names (`create_endpoint`, `list_deliveries` …)."""

    def __init__(self, shared: Shared, operations: Iterable[Operation]) -> None:
        self.shared = shared
        self._operations = {operation.name: operation for operation in operations}

    async def call(
        self,
        name: str,
        principal: Principal,
        account_id: AccountId,
        *,
        path: Mapping[str, str] | None = None,
        query: Values | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> Any:
        """Do an operation for `principal` on `account_id`; give what it answers, decoded, or None for no content.

        `path` and `query` are plain values, `body` anything that becomes JSON; query values that are None are left out.
        Raises the CallerError that the API would answer as a problem: Forbidden, NotFound, InvalidDocument …
        """
        operation = self._operations[name]
        check_scope(principal, operation.access)
        content = b"" if body is None else encode_json(body)
        given = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
        scope = {
            "method": operation.method,
            "path": operation.path,
            "path_params": {key: quote(value, safe="") for key, value in (path or {}).items()},
            "query_string": urlencode(
                {key: value for key, value in (query or {}).items() if value is not None}, doseq=True
            ).encode(),
            "headers": [(key.encode("latin-1"), value.encode("latin-1")) for key, value in given.items()],
        }

        async def receive() -> Message:
            return {"type": "http.request", "body": content, "more_body": False}

        call = Call(self.shared, operation, scope, receive, request_id)
        call.principal, call.account_id = principal, account_id
        call.read_queries()
        reply = await operation.handler(call)
        assert isinstance(reply, Reply), name  # streams are for programs
        return msgspec.json.decode(reply.body) if reply.body else None
