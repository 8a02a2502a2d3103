"""Every failure as a problem document (RFC 9457): one shape, no traceback, and the id to ask about."""

from collections.abc import Collection

from waypost import errors
from waypost.api.reply import PROBLEM, Reply, encode_json
from waypost.errors import PROBLEM_BASE, CallerError

RETRY_AFTER_S_DEFAULT = 5  # for a 503: about as long as a database takes to come back after a restart


class MethodNotAllowed(CallerError):
    """The path does not have this method."""

    type, status = "method-not-allowed", 405


class InternalError(CallerError):
    """Something went wrong on our side."""

    type, status = "internal-error", 500


def problem_body(error: CallerError, request_id: str) -> bytes:
    """Give the problem document for `error` as JSON bytes."""
    return encode_json(
        {
            "type": PROBLEM_BASE + error.type,
            "title": error.title,
            "status": error.status,
            "detail": error.detail,
            "request_id": request_id,
            "errors": error.errors,
        }
    )


def problem_reply(error: CallerError, request_id: str) -> Reply:
    """Give the answer for `error`, with the headers that its status asks for."""
    headers = {name.lower(): value for name, value in error.headers.items()}
    if error.status == 401:
        headers.setdefault("www-authenticate", 'Bearer realm="waypost"')
    if error.status == 503:
        headers.setdefault("retry-after", str(RETRY_AFTER_S_DEFAULT))
    pairs = tuple((name.encode("ascii"), value.encode("ascii")) for name, value in headers.items())
    return Reply(error.status, problem_body(error, request_id), pairs, PROBLEM)


def unknown_path() -> CallerError:
    """What the caller hears when there is no operation at the path."""
    return errors.NotFound("There is nothing at this path. The operations are listed at /docs.")


def method_not_allowed(method: str, allowed: Collection[str]) -> CallerError:
    """What the caller hears when the path has other methods."""
    methods = ", ".join(sorted({*allowed, "HEAD"} if "GET" in allowed else allowed))
    return MethodNotAllowed(f"This path takes {methods}, not {method}.", headers={"allow": methods})


def internal_error() -> CallerError:
    """What the caller hears of a fault of ours: nothing but the id under which the log tells more."""
    return InternalError("This was not your fault. The request id leads to our record of it.")
