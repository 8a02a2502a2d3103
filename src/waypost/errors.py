"""One family of errors, each with the parts of a problem document (RFC 9457).

A CallerError says that the caller broke a rule: it carries the status to answer with, the places that are wrong and the
remedy. Everything else that goes wrong is ours, and is answered without details.
"""

from collections.abc import Sequence

import msgspec

PROBLEM_BASE = "https://waypost.example/problems/"


class FieldError(msgspec.Struct, frozen=True):
    """One wrong place: `path` is a JSON Pointer into the body (or `?name` for a query value), `message` the remedy."""

    path: str
    message: str


class CallerError(Exception):
    """The request cannot be done."""

    type: str = "bad-request"
    status: int = 400

    def __init__(
        self,
        detail: str,
        *,
        path: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors: tuple[FieldError, ...] = tuple(errors)
        if path is not None and not self.errors:
            self.errors = (FieldError(path, detail),)
        self.headers = headers or {}

    @property
    def title(self) -> str:
        """The class's docstring is its title."""
        return (type(self).__doc__ or "").strip().splitlines()[0]


class BadRequest(CallerError):
    """The request cannot be read."""

    type, status = "bad-request", 400


class Unauthorized(CallerError):
    """The token is missing or unknown."""

    type, status = "unauthorized", 401


class Forbidden(CallerError):
    """The token does not allow this."""

    type, status = "forbidden", 403


class NotFound(CallerError):
    """There is no such thing here."""

    type, status = "not-found", 404


class Conflict(CallerError):
    """The state does not allow this."""

    type, status = "conflict", 409


class PreconditionFailed(CallerError):
    """It was changed meanwhile."""

    type, status = "precondition-failed", 412


class TooLarge(CallerError):
    """The body is too large."""

    type, status = "too-large", 413


class UnsupportedMediaType(CallerError):
    """The content type is not supported."""

    type, status = "unsupported-media-type", 415


class InvalidDocument(CallerError):
    """The document is not valid."""

    type, status = "invalid-document", 422


class AddressNotAllowed(CallerError):
    """The endpoint's address is not allowed."""

    type, status = "address-not-allowed", 422


class IdempotencyMismatch(CallerError):
    """The Idempotency-Key was used with another body."""

    type, status = "idempotency-mismatch", 422


class TooManyRequests(CallerError):
    """Too many requests."""

    type, status = "too-many-requests", 429


class Unavailable(CallerError):
    """The service cannot take this now."""

    type, status = "unavailable", 503
