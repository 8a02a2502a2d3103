"""Makes the signatures of Standard Webhooks 1.0, and the secrets they are made with.

A secret is `whsec_` and base64 of 24 to 64 random bytes (HMAC-SHA256, signature `v1`), or `whsk_` and base64 of a raw
Ed25519 private key (signature `v1a`). Source: github.com/standard-webhooks/standard-webhooks, spec, "Signature scheme".
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HMAC_PREFIX = "whsec_"
PRIVATE_KEY_PREFIX = "whsk_"
PUBLIC_KEY_PREFIX = "whpk_"

SECRET_BYTES = 32
SECRET_BYTES_MIN = 24  # the range the specification recommends
SECRET_BYTES_MAX = 64
KEY_BYTES = 32  # of an Ed25519 key

# Decoding is half the cost of a signature, and an endpoint has one or two secrets for a long time.
_SECRETS_CACHED = 4096


class MalformedSecret(ValueError):
    """The signing secret cannot be used."""


def new_secret(randomness: bytes) -> str:
    """Give a `whsec_…` secret made of `randomness`: SECRET_BYTES_MIN to SECRET_BYTES_MAX bytes from the caller."""
    assert SECRET_BYTES_MIN <= len(randomness) <= SECRET_BYTES_MAX, len(randomness)
    return HMAC_PREFIX + base64.b64encode(randomness).decode()


def new_private_key(randomness: bytes) -> str:
    """Give a `whsk_…` Ed25519 key made of exactly 32 bytes of `randomness`."""
    assert len(randomness) == KEY_BYTES, len(randomness)
    return PRIVATE_KEY_PREFIX + base64.b64encode(randomness).decode()


def public_key(private_key: str) -> str:
    """Give the `whpk_…` key that verifies what `private_key` (`whsk_…`) signs. Raises MalformedSecret."""
    raw = _private_key(private_key).public_key().public_bytes_raw()
    return PUBLIC_KEY_PREFIX + base64.b64encode(raw).decode()


def check_secret(secret: str) -> None:
    """Refuse a secret that `sign` could not use. Raises MalformedSecret, which never repeats the secret."""
    if secret.startswith(PRIVATE_KEY_PREFIX):
        _private_key(secret)
    else:
        _hmac_key(secret)


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Give one signature, `v1,…` for a `whsec_` secret and `v1a,…` for a `whsk_` key.

    `timestamp` is the Unix time of the attempt in seconds, as the header `webhook-timestamp` says it.
    Raises MalformedSecret.
    """
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    if secret.startswith(PRIVATE_KEY_PREFIX):
        return "v1a," + _base64(_private_key(secret).sign(signed))
    return "v1," + _base64(hmac.digest(_hmac_key(secret), signed, "sha256"))


def signature_header(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> str:
    """Give the value of `webhook-signature`: one signature for each live secret, a blank between them."""
    if len(secrets) == 1:
        return sign(secrets[0], message_id, timestamp, body)
    return " ".join([sign(secret, message_id, timestamp, body) for secret in secrets])


@lru_cache(maxsize=_SECRETS_CACHED)
def _hmac_key(secret: str) -> bytes:
    if not secret.startswith(HMAC_PREFIX):
        raise MalformedSecret(f"a secret begins with {HMAC_PREFIX}, a private key with {PRIVATE_KEY_PREFIX}")
    key = _decode(secret.removeprefix(HMAC_PREFIX))
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise MalformedSecret(f"a secret is {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes, this is {len(key)}")
    return key


@lru_cache(maxsize=_SECRETS_CACHED)
def _private_key(secret: str) -> Ed25519PrivateKey:
    if not secret.startswith(PRIVATE_KEY_PREFIX):
        raise MalformedSecret(f"an Ed25519 private key begins with {PRIVATE_KEY_PREFIX}")
    key = _decode(secret.removeprefix(PRIVATE_KEY_PREFIX))
    if len(key) != KEY_BYTES:
        raise MalformedSecret(f"an Ed25519 private key is {KEY_BYTES} bytes, this is {len(key)}")
    return Ed25519PrivateKey.from_private_bytes(key)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedSecret("what follows the prefix is not base64") from None


def _base64(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode("ascii")
