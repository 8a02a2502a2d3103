"""One request, as a handler sees it: who asks, on whose account, what they say."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from waypost.api.operations import JSON_BYTES_MAX, Operation
from waypost.api.queries import read_queries
from waypost.api.reply import Receive, Scope
from waypost.api.shared import Shared
from waypost.errors import BadRequest, CallerError, NotFound, TooLarge, UnsupportedMediaType
from waypost.ids import AccountId
from waypost.log import Principal
from waypost.log.auditing import Actor

# A client that still writes its body when the 413 comes may never read it, so a body that is a little too large is
# read to its end and thrown away. Beyond this the connection is closed on the client.
DRAINED_BYTES_MAX = 16 * 1024 * 1024


class ClientGone(Exception):
    """The client hung up while it was still sending; nobody is left to answer."""


class Call:
    """One request to one operation. Headers and body are read when they are first asked for."""

    __slots__ = (
        "_body",
        "_headers",
        "_queries",
        "account_id",
        "operation",
        "principal",
        "receive",
        "request_id",
        "scope",
        "services",
        "shared",
    )

    principal: Principal
    """Who asks; set by admission, absent from public operations."""
    account_id: AccountId
    """On whose account; set by admission, absent from public operations."""

    def __init__(self, shared: Shared, operation: Operation, scope: Scope, receive: Receive, request_id: str) -> None:
        self.shared = shared
        self.services = shared.services
        self.operation = operation
        self.scope = scope
        self.receive = receive
        self.request_id = request_id
        self._body: bytes | None = None
        self._headers: dict[bytes, bytes] | None = None
        self._queries: dict[str, Any] = {}

    @property
    def actor(self) -> Actor:
        """Who stands in the audit log for what is done. Only where there is a principal."""
        return Actor(self.principal.name, self.principal.token_id)

    def header(self, name: bytes) -> str | None:
        """Give a header by its lower-case name, or None. A header that came twice counts once, the last."""
        if self._headers is None:
            self._headers = dict(self.scope["headers"])
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    def path_text(self, name: str) -> str:
        """Give a part of the path, decoded; BadRequest if it is not UTF-8."""
        raw: str = self.scope["path_params"][name]
        if "%" not in raw and raw.isascii():
            return raw
        try:
            # Latin-1 gives back the bytes that came, also those that a client should have escaped.
            return unquote_to_bytes(raw.encode("latin-1")).decode("utf-8")
        except UnicodeDecodeError:
            raise BadRequest(f"The {name} in the path is not UTF-8. Percent-encode its UTF-8 bytes.") from None

    def path_id(self, prefix: str, name: str = "id") -> str:
        """Give an id in the path. One that cannot be of this kind is unknown: no store is asked."""
        text = self.path_text(name)
        if text.startswith(prefix) and len(text) <= 64 and text.isascii() and text.replace("_", "").isalnum():
            return text
        raise NotFound(f"There is nothing with the id {text[:64]!r} here.")

    def read_queries(self) -> None:
        """Read the query values; BadRequest for what this operation does not know, also when it takes none."""
        self._queries = read_queries(self.operation.queries, self.scope["query_string"])

    def query(self, name: str) -> Any:
        """Give a declared query value, or its default. They were read before the handler was called."""
        return self._queries[name]

    async def body(self) -> bytes:
        """Give the whole body, within its limit and of a media type that the operation takes."""
        spec = self.operation.body
        bytes_max = JSON_BYTES_MAX if spec is None else spec.bytes_max
        content_length = self._content_length()
        if content_length > bytes_max:
            await self._drain(content_length)
            raise _too_large(bytes_max)
        message: Any = await self.receive()
        if message["type"] != "http.request":
            raise ClientGone
        body: bytes = message["body"]
        if message["more_body"]:
            body = await self._rest(body, bytes_max)
        if len(body) > bytes_max:
            raise _too_large(bytes_max)
        if spec is not None and (body or spec.required):
            if not body:
                raise BadRequest(f"The body is empty. Send {_listed(spec.media_types)}.")
            self.check_media_type()
        self._body = body
        return body

    @property
    def body_was_read(self) -> bool:
        """Whether `body` gave the body."""
        return self._body is not None

    @property
    def body_read(self) -> bytes:
        """The body that `body` gave before; empty if nobody asked for it."""
        return self._body or b""

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Give the body as it comes in, within its limit. The next part is read only when asked for."""
        spec = self.operation.body
        assert spec is not None, self.operation.name
        total = 0
        more = True
        while more:
            message: Any = await self.receive()
            if message["type"] != "http.request":
                raise ClientGone
            total += len(message["body"])
            if total > spec.bytes_max:
                raise _too_large(spec.bytes_max)
            more = message["more_body"]
            yield message["body"]

    def check_size_announced(self) -> None:
        """Refuse a body that says beforehand that it is too large."""
        assert self.operation.body is not None, self.operation.name
        if self._content_length() > self.operation.body.bytes_max:
            raise _too_large(self.operation.body.bytes_max)

    def check_media_type(self) -> None:
        """Refuse a body of another media type, another charset, or packed."""
        spec = self.operation.body
        assert spec is not None, self.operation.name
        given = self.header(b"content-type")
        if given != spec.media_types[0]:
            media_type, _, rest = (given or "").partition(";")
            if media_type.strip().lower() not in spec.media_types:
                came = f"it came as {shown}" if (shown := _shown(media_type)) else "it came without one"
                raise UnsupportedMediaType(f"Send the body with the content-type {_listed(spec.media_types)}; {came}.")
            if not _is_utf8(rest):
                raise UnsupportedMediaType("Send the body in UTF-8; no other charset is read.")
        # Unpacking would let a small body become a large one, and no client here needs it.
        if (self.header(b"content-encoding") or "identity").strip().lower() != "identity":
            raise UnsupportedMediaType("Send the body as it is, without a content-encoding.")

    async def _rest(self, first: bytes, bytes_max: int) -> bytes:
        parts, total, more = [first], len(first), True
        while more:
            message: Any = await self.receive()
            if message["type"] != "http.request":
                raise ClientGone
            more = message["more_body"]
            total += len(message["body"])
            if total > DRAINED_BYTES_MAX:
                break
            if total <= bytes_max:
                parts.append(message["body"])
        if total > bytes_max:
            raise _too_large(bytes_max)
        return b"".join(parts)

    async def _drain(self, content_length: int) -> None:
        more = content_length <= DRAINED_BYTES_MAX
        while more:
            message: Any = await self.receive()
            if message["type"] != "http.request":
                raise ClientGone
            more = message["more_body"]

    def _content_length(self) -> int:
        text = self.header(b"content-length") or "0"
        # The server has checked its form already; what is no number here is left to the count of the bytes.
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0


def _too_large(bytes_max: int) -> CallerError:
    return TooLarge(f"The body is larger than {bytes_max // (1024 * 1024)} MiB, which is the limit here.")


def _listed(media_types: Sequence[str]) -> str:
    return " or ".join(media_types)


def _shown(media_type: str) -> str:
    return "".join(character for character in media_type.strip() if character.isprintable())[:100]


def _is_utf8(parameters: str) -> bool:
    """Whether the parameters of a media type leave the charset open or name UTF-8."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower() in ("utf-8", "utf8")
    return True
