"""Checks the signature of a webhook, and says which part is wrong.

Source: Standard Webhooks 1.0, github.com/standard-webhooks/standard-webhooks. What is signed is
`{webhook-id}.{webhook-timestamp}.{body}`, with the body's bytes as they came.
"""

import base64
import binascii
import hmac
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from waypost.receiver.event import Event

HEADER_ID, HEADER_TIMESTAMP, HEADER_SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE_S = 300.0

SECRET_PREFIX, PUBLIC_KEY_PREFIX, PRIVATE_KEY_PREFIX = "whsec_", "whpk_", "whsk_"
SECRET_BYTES_MIN, SECRET_BYTES_MAX = 24, 64
PUBLIC_KEY_BYTES = 32

HEADER_LENGTH_MAX = 4096  # room for two dozen signatures; more is somebody trying
REWRITTEN_BYTES_MAX = 256 * 1024  # a hint is not worth parsing more than this for a stranger
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)

Headers = Mapping[Any, Any] | Iterable[tuple[Any, Any]]
Now = float | datetime | None


class SignatureError(Exception):
    """The request is not to be trusted. `part` names what is wrong: headers, timestamp, secret, signature or body."""

    part = "signature"


class MissingHeader(SignatureError):
    """A header of the signature is not there."""

    part = "headers"


class MalformedHeader(SignatureError):
    """A header of the signature cannot be read."""

    part = "headers"


class MalformedTimestamp(SignatureError):
    """The timestamp is not a Unix time in seconds."""

    part = "timestamp"


class TooOld(SignatureError):
    """The request was signed too long ago."""

    part = "timestamp"


class TooNew(SignatureError):
    """The request was signed in the future."""

    part = "timestamp"


class MalformedSecret(SignatureError):
    """The secret given here cannot be used: the fault is in this program's settings, not in the request."""

    part = "secret"


class WrongSignature(SignatureError):
    """No signature of the request fits: the secret is another one, or the body was changed."""


class BodyRewritten(WrongSignature):
    """The signature fits the body as it was sent: this program read the JSON and wrote it again."""

    part = "body"


class UnreadableBody(SignatureError):
    """The signature is right, but the body is no event."""

    part = "body"


class Signed(NamedTuple):
    """What a right signature vouches for: the message's id, and the Unix time in seconds of this attempt."""

    id: str
    timestamp: int


def verify(
    body: bytes,
    headers: Headers,
    *,
    secret: str | Iterable[str],
    now: Now = None,
    tolerance_s: float = TOLERANCE_S,
) -> Event:
    """Check a request's signature and give its event.

    `body` is the bytes as they came. `headers` is any mapping, list of pairs or WSGI environ, names in any case.
    `secret` is one `whsec_…` secret (or `whpk_…` public key), or several during a rotation: one must fit. `now` is for
    tests (Unix time in seconds, or an aware datetime); `tolerance_s` is how far the clocks may disagree, both ways.
    Raises a SignatureError whose class and `part` say what is wrong.
    """
    check_signature(body, headers, secret=secret, now=now, tolerance_s=tolerance_s)
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableBody(f"The body is not JSON: {error}") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("id"), str):
        raise UnreadableBody("The body is not one event. Use check_signature for batches and other formats.")
    return Event(fields)


def check_signature(
    body: bytes,
    headers: Headers,
    *,
    secret: str | Iterable[str],
    now: Now = None,
    tolerance_s: float = TOLERANCE_S,
) -> Signed:
    """Check a request's signature as `verify` does, whatever its body holds."""
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(f"body is {type(body).__name__}; give the bytes as they came, before anything parses them")
    message_id, timestamp, signatures = read_headers(headers)
    check_time(timestamp, seconds(now), tolerance_s)
    checks = [matcher(one) for one in given_secrets(secret)]
    body = bytes(body)
    if matches(checks, message_id, timestamp, body, signatures):
        return Signed(message_id, timestamp)
    if was_rewritten(checks, message_id, timestamp, body, signatures):
        raise BodyRewritten(
            "The body was changed after it was signed: the JSON was read and written again. "
            "Check the bytes as they came, then read them."
        )
    raise WrongSignature(
        f"None of the signatures ({_schemes(signatures)}) fits. "
        "The secret is another one, or the body was changed after it was signed."
    )


def read_headers(headers: Headers) -> tuple[str, int, list[str]]:
    """Give the id, the timestamp and the signatures. Raises MissingHeader, MalformedHeader, MalformedTimestamp."""
    found = dict.fromkeys((HEADER_ID, HEADER_TIMESTAMP, HEADER_SIGNATURE), "")
    for name, value in _pairs(headers):
        if found[name] and found[name] != value:
            raise MalformedHeader(f"The header {name} is there twice, with two values.")
        if len(value) > HEADER_LENGTH_MAX:
            raise MalformedHeader(f"The header {name} is longer than {HEADER_LENGTH_MAX} characters.")
        found[name] = value
    for name, value in found.items():
        if not value:
            raise MissingHeader(f"The header {name} is missing or empty.")
    timestamp = found[HEADER_TIMESTAMP]
    if not _TIMESTAMP.fullmatch(timestamp):
        raise MalformedTimestamp("The header webhook-timestamp is not a Unix time in seconds.")
    signatures = found[HEADER_SIGNATURE].split()
    if not all("," in signature for signature in signatures):
        raise MalformedHeader("The header webhook-signature is not a list of “v1,…” with a blank between.")
    return found[HEADER_ID], int(timestamp), signatures


def check_time(timestamp: int, now_s: float, tolerance_s: float) -> None:
    """Refuse a timestamp too far from now. Raises TooOld, TooNew."""
    age_s = now_s - timestamp
    if age_s > tolerance_s:
        raise TooOld(f"The request was signed {age_s:.0f} s ago; more than {tolerance_s:.0f} s may be a replay.")
    if -age_s > tolerance_s:
        raise TooNew(f"The request was signed {-age_s:.0f} s in the future. Check the clock of this machine.")


def seconds(now: Now) -> float:
    """Give Unix seconds. None is this moment."""
    if now is None:
        return time.time()
    return now.timestamp() if isinstance(now, datetime) else float(now)


def given_secrets(secret: str | Iterable[str]) -> list[str]:
    """Give the secrets as a list. Raises MalformedSecret when there is none: it fails closed."""
    secrets = [secret] if isinstance(secret, str) else list(secret)
    if not secrets:
        raise MalformedSecret("No secret was given.")
    return secrets


Matcher = Callable[[bytes, str], bool]


def matcher(secret: str) -> Matcher:
    """Give a function that says whether a signature (`v1,…`) fits the signed bytes. Raises MalformedSecret."""
    if secret.startswith(SECRET_PREFIX):
        return _hmac_matcher(_decode(secret.removeprefix(SECRET_PREFIX)))
    if secret.startswith(PUBLIC_KEY_PREFIX):
        return _ed25519_matcher(_decode(secret.removeprefix(PUBLIC_KEY_PREFIX)))
    if secret.startswith(PRIVATE_KEY_PREFIX):
        raise MalformedSecret("This is the private key, which only the sender has. Use the public one, whpk_….")
    hint = " There is a blank before it." if secret.lstrip() != secret else ""
    raise MalformedSecret(f"A secret begins with {SECRET_PREFIX}, a public key with {PUBLIC_KEY_PREFIX}.{hint}")


def matches(checks: list[Matcher], message_id: str, timestamp: int, body: bytes, signatures: list[str]) -> bool:
    """Say whether any signature fits by any of the secrets."""
    signed = b"%b.%d.%b" % (message_id.encode("utf-8", "surrogateescape"), timestamp, body)
    return any(check(signed, signature) for check in checks for signature in signatures)


def was_rewritten(checks: list[Matcher], message_id: str, timestamp: int, body: bytes, signatures: list[str]) -> bool:
    """Say whether a signature fits the same JSON in the form in which it is sent, or the body without blanks around."""
    if len(body) > REWRITTEN_BYTES_MAX:
        return False
    return any(
        candidate != body and matches(checks, message_id, timestamp, candidate, signatures)
        for candidate in _as_it_may_have_been(body)
    )


def _as_it_may_have_been(body: bytes) -> Iterator[bytes]:
    yield body.removeprefix(b"\xef\xbb\xbf").strip()
    try:
        value = json.loads(body)
        yield json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return


def _hmac_matcher(key: bytes) -> Matcher:
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise MalformedSecret(f"A secret is {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes, this is {len(key)}.")

    def fits(signed: bytes, signature: str) -> bool:
        scheme, _, value = signature.partition(",")
        expected = base64.b64encode(hmac.digest(key, signed, "sha256"))
        return hmac.compare_digest(expected, value.encode("utf-8", "replace")) and scheme == "v1"

    return fits


def _ed25519_matcher(raw: bytes) -> Matcher:
    if len(raw) != PUBLIC_KEY_BYTES:
        raise MalformedSecret(f"A public key is {PUBLIC_KEY_BYTES} bytes, this is {len(raw)}.")
    key = Ed25519PublicKey.from_public_bytes(raw)

    def fits(signed: bytes, signature: str) -> bool:
        scheme, _, value = signature.partition(",")
        if scheme != "v1a":
            return False
        try:
            key.verify(base64.b64decode(value, validate=True), signed)
        except (InvalidSignature, ValueError):
            return False
        return True

    return fits


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        hint = " There is a blank after it." if text.rstrip() != text else ""
        raise MalformedSecret(f"What follows the prefix of the secret is not base64.{hint}") from None


def _pairs(headers: Headers) -> Iterator[tuple[str, str]]:
    """Give the headers of the signature, names in lower case, one value at a time."""
    items = headers.items() if hasattr(headers, "items") else headers
    for name, value in items:
        # A WSGI environ says HTTP_WEBHOOK_ID, and holds other things than headers.
        header = _text(name).lower().replace("_", "-").removeprefix("http-")
        if header in (HEADER_ID, HEADER_TIMESTAMP, HEADER_SIGNATURE):
            for one in value if isinstance(value, list | tuple) else [value]:
                yield header, _text(one).strip()


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _schemes(signatures: list[str]) -> str:
    return ", ".join(sorted({signature.partition(",")[0][:8] for signature in signatures}))
