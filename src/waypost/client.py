"""An HTTP client of a running service, for the command line and the demo.

It speaks to one Waypost and to nobody else, straight and without a proxy: `http.client` reads neither the environment
nor `.netrc`, follows no redirect, and keeps the token to the address that it was given for.
"""

import http.client
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from waypost import __version__

TIMEOUT_S = 90.0  # longer than the slowest call: a test of an endpoint may take its whole 60 s
PAGE_SIZE = 500
T = TypeVar("T")
Query = Mapping[str, object]


class WrongPlace(msgspec.Struct, frozen=True):
    """One entry of a problem's `errors`."""

    path: str = ""
    message: str = ""


class Problem(msgspec.Struct, frozen=True):
    """An answer of application/problem+json."""

    title: str = ""
    detail: str = ""
    status: int = 0
    errors: tuple[WrongPlace, ...] = ()


class Page(msgspec.Struct, frozen=True):
    """A page of a list, its items as they came."""

    items: list[msgspec.Raw]
    next: msgspec.Raw = msgspec.Raw(b"null")


class ClientError(Exception):
    """A call did not succeed. The message is one sentence; `places` are the wrong places of a document, a line each."""

    def __init__(self, message: str, places: Sequence[str] = ()) -> None:
        """Keep the sentence and the places."""
        super().__init__(message)
        self.places = tuple(places)


class ServiceError(ClientError):
    """The service answered with a problem."""

    def __init__(self, status: int, problem: Problem) -> None:
        """Take the sentence and the wrong places out of the problem."""
        sentence = problem.detail or problem.title or f"The service answered {status}."
        places = [f"{place.path}: {place.message}" for place in problem.errors if place.message != sentence]
        super().__init__(sentence, places)
        self.status = status


class AwayError(ClientError):
    """Nothing answers at the address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the service: its status, its body, and its `Date` header when it has one."""

    status: int
    body: bytes
    date: str | None = None


@dataclass(slots=True)
class Client:
    """Calls one service with one token. Each call opens its own connection: commands make few of them."""

    url: str
    token: str | None = field(repr=False)
    account: str | None = None
    timeout_s: float = TIMEOUT_S

    def get(self, path: str, query: Query | None = None) -> bytes:
        """The body of a GET. Raises ServiceError and AwayError."""
        return self.call("GET", path, query=query).body

    def read(self, path: str, kind: type[T], query: Query | None = None) -> T:
        """What a GET answers, as `kind`."""
        return msgspec.json.decode(self.get(path, query), type=kind)

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Query | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one call. `body` is bytes to send as they are, or a value to send as JSON.

        Raises ServiceError for an answer that is not 2xx, AwayError when there is none.
        """
        sent = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        own = {"Content-Type": content_type} if sent is not None else {}
        connection = self._connection()
        try:
            response = self._response(connection, method, _target(path, query), sent, own | dict(headers or {}))
            return Answer(response.status, response.read(), response.getheader("date"))
        except (OSError, http.client.HTTPException) as error:
            raise self._away(error) from error
        finally:
            connection.close()

    def items(self, path: str, query: Query | None = None, *, limit: int | None = None) -> Iterator[msgspec.Raw]:
        """The items of a list, page after page, at most `limit` of them."""
        left, cursor = limit, dict(query or {})
        while left is None or left > 0:
            page = self.read(path, Page, cursor | {"limit": PAGE_SIZE if left is None else min(left, PAGE_SIZE)})
            yield from page.items
            left = None if left is None else left - len(page.items)
            after = msgspec.json.decode(page.next)
            if after is None:
                return
            # A log goes on after a position (a number), every other list after an opaque cursor.
            cursor["after" if isinstance(after, int) else "cursor"] = after

    def lines(self, path: str, query: Query | None = None, *, idle_s: float = 60.0) -> Iterator[bytes]:
        """The lines of an answer that does not end, without their line ends. Ends when the service goes away."""
        connection = self._connection(idle_s)
        try:
            response = self._response(connection, "GET", _target(path, query), None, {"Accept": "text/event-stream"})
            while line := response.readline():
                yield line.rstrip(b"\r\n")
        except (OSError, http.client.HTTPException) as error:
            raise self._away(error) from error
        finally:
            connection.close()

    def _connection(self, timeout_s: float | None = None) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host, wait_s = parts.hostname or "", timeout_s or self.timeout_s
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, parts.port, timeout=wait_s, context=context)
        return http.client.HTTPConnection(host, parts.port, timeout=wait_s)

    def _response(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        common = {"User-Agent": f"waypost-cli/{__version__}"}
        if self.token is not None:
            common["Authorization"] = f"Bearer {self.token}"
        if self.account is not None:
            common["Waypost-Account"] = self.account
        connection.request(method, urlsplit(self.url).path.rstrip("/") + target, body, {**common, **headers})
        response = connection.getresponse()
        if not 200 <= response.status < 300:
            raise ServiceError(response.status, _problem(response.read()))
        return response

    def _away(self, error: Exception) -> AwayError:
        match error:
            case ConnectionRefusedError():
                return AwayError(f"No Waypost answers at {self.url}. Start it with: waypost serve")
            case TimeoutError():
                return AwayError(f"Waypost at {self.url} did not answer in time. See: waypost doctor")
            case ssl.SSLCertVerificationError():
                return AwayError(f"The certificate of {self.url} cannot be trusted: {error.verify_message}.")
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        return AwayError(f"Waypost at {self.url} cannot be reached: {reason}. Check WAYPOST_URL.")


def segment(text: str) -> str:
    """A reference or an id as one segment of a path: its slashes and blanks encoded."""
    return quote(text, safe="")


def _target(path: str, query: Query | None) -> str:
    given = {name: value for name, value in (query or {}).items() if value is not None}
    return path + ("?" + urlencode(given, doseq=True) if given else "")


def _problem(body: bytes) -> Problem:
    try:
        return msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        return Problem()
