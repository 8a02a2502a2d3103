"""Check a webhook from Waypost with nothing but the standard library."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

TOLERANCE_S = 300


class SignatureError(Exception):
    """The request is not to be trusted; the message says which part is wrong."""


def verify(body: bytes, headers: Mapping[str, str], secret: str, now: float | None = None) -> dict[str, Any]:
    """Give the event in `body`, or raise SignatureError.

    `body` is the request's bytes exactly as they came, before any parsing. `now` is Unix time in seconds.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, sent_at = given["webhook-id"], given["webhook-timestamp"]
        signatures = given["webhook-signature"].split()
    except KeyError as missing:
        raise SignatureError(f"the header {missing} is missing") from None

    if not (sent_at.isascii() and sent_at.isdigit()):
        raise SignatureError("webhook-timestamp is not a number of seconds")
    if abs((time.time() if now is None else now) - int(sent_at)) > TOLERANCE_S:
        raise SignatureError("webhook-timestamp is more than five minutes away; is this clock right?")

    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{sent_at}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
    # One signature for each live secret: while a secret is being rotated there are two.
    if not any(hmac.compare_digest(expected, signature.encode()) for signature in signatures):
        raise SignatureError("no signature fits: another secret, or a body that changed on its way")
    event: dict[str, Any] = json.loads(body)
    return event
