"""Secrets at rest: AES-256-GCM under the service's key.

Every sealed text is tied to its place ("aad": table, account, id), so a ciphertext copied into another row, or another
account, does not open there.
"""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12  # as NIST SP 800-38D recommends; random, and far below 2^32 uses of one key
_VERSION = b"\x01"  # so that another key or cipher can follow without guessing


class WrongKey(Exception):
    """WAYPOST_SECRET_KEY is not the key that this was encrypted with."""


class Vault:
    """Seals and opens with one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        """Raise ValueError unless the key has 32 bytes."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"The secret key has {len(key)} bytes; it needs {KEY_BYTES}.")
        self._cipher = AESGCM(key)

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        """Encrypt `plaintext` for the place named by `aad`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plaintext, aad)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """Give the plaintext, or raise WrongKey when key, place or bytes are not the ones it was sealed with."""
        head, nonce, ciphertext = sealed[:1], sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            if head != _VERSION or len(nonce) < _NONCE_BYTES:
                raise InvalidTag
            return self._cipher.decrypt(nonce, ciphertext, aad)
        except InvalidTag as error:
            raise WrongKey(
                "A stored secret does not open. Start Waypost with the WAYPOST_SECRET_KEY it was made with."
            ) from error


def place(*parts: str) -> bytes:
    """Name the place of a secret for `aad`: its table and keys. NUL cannot occur in any of them."""
    return "\0".join(parts).encode()
