"""Who we are to a receiver that asks for a client certificate (mutual TLS)."""

import asyncio
import os
import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from weakref import WeakValueDictionary

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from waypost.errors import FieldError

CONTEXTS_KEPT = 32
RSA_BITS_MAX = 4096  # to sign with a larger one takes so long that others would wait


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """A certificate (PEM, with those that lead to its authority) and its private key (PEM, not encrypted).

    `ca` is the one authority (PEM) that the server's certificate must come from, None for those of the system.
    """

    certificate: str = field(repr=False)
    private_key: str = field(repr=False)
    ca: str | None = field(default=None, repr=False)


def check_identity(identity: ClientIdentity, path: str) -> list[FieldError]:
    """List what is wrong with a certificate and its key, without repeating either; expiry is asked for apart."""
    errors = [*_check_certificates(identity.certificate, f"{path}/certificate")]
    errors += _check_private_key(identity.private_key, f"{path}/private_key")
    if identity.ca is not None:
        errors += _check_certificates(identity.ca, f"{path}/ca")
    if errors:
        return errors
    if not _is_pair(identity):
        return [FieldError(f"{path}/private_key", "is not the key of this certificate")]
    try:
        _show(identity, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    except ssl.SSLError as error:
        reason = (error.reason or "no reason given").replace("_", " ").lower()
        return [FieldError(f"{path}/certificate", f"cannot be used for TLS: {reason}")]
    return []


def check_is_valid_at(certificate: str, now: datetime, path: str) -> list[FieldError]:
    """Say whether the time of a certificate is over, or has not come. One that cannot be read is refused elsewhere."""
    if _check_certificates(certificate, path):
        return []
    leaf = x509.load_pem_x509_certificates(certificate.encode())[0]
    if leaf.not_valid_after_utc <= now:
        return [FieldError(path, f"has expired at {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")]
    if leaf.not_valid_before_utc > now:
        return [FieldError(path, f"is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")]
    return []


def context_of(identity: ClientIdentity, extra_ca_pem: str | None = None) -> ssl.SSLContext:
    """Give the TLS settings of connections that show `identity`. Raises ssl.SSLError when it cannot be used.

    `extra_ca_pem` is trusted beside the system's authorities, where the identity names no authority of its own.
    """
    if identity.ca is not None:
        context = ssl.create_default_context(cadata=identity.ca)
    else:
        context = ssl.create_default_context()
        if extra_ca_pem is not None:
            context.load_verify_locations(cadata=extra_ca_pem)
    context.set_alpn_protocols(["http/1.1"])
    _show(identity, context)
    return context


class Contexts:
    """The TLS settings of client identities. Used within one event loop.

    Making one reads the authorities of the system, which takes tens of milliseconds: it is done beside the loop, and
    one at a time, so that an endpoint whose connections are made anew again and again costs the others nothing. The
    last CONTEXTS_KEPT are kept, of some 900 KB each, beside those that connections use.
    """

    def __init__(self, extra_ca_pem: str | None = None) -> None:
        self._extra_ca_pem = extra_ca_pem
        self._in_use: WeakValueDictionary[ClientIdentity, ssl.SSLContext] = WeakValueDictionary()
        self._latest: OrderedDict[ClientIdentity, ssl.SSLContext] = OrderedDict()
        self._making: dict[ClientIdentity, asyncio.Future[ssl.SSLContext]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="waypost-tls")

    async def of(self, identity: ClientIdentity) -> ssl.SSLContext:
        """Give the TLS settings that show `identity`. Raises ssl.SSLError when it cannot be used."""
        context = self._in_use.get(identity)
        if context is not None:
            return context
        making = self._making.get(identity)
        if making is None:
            work = partial(context_of, identity, self._extra_ca_pem)
            making = asyncio.get_running_loop().run_in_executor(self._thread, work)
            self._making[identity] = making
            making.add_done_callback(partial(self._made, identity))
        # A request that is given up takes it from nobody else.
        return await asyncio.shield(making)

    def close(self) -> None:
        """Make no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _made(self, identity: ClientIdentity, making: "asyncio.Future[ssl.SSLContext]") -> None:
        del self._making[identity]
        if making.cancelled() or making.exception() is not None:
            return
        self._in_use[identity] = self._latest[identity] = making.result()
        if len(self._latest) > CONTEXTS_KEPT:
            self._latest.popitem(last=False)


def _show(identity: ClientIdentity, context: ssl.SSLContext) -> None:
    with _as_file(f"{identity.certificate}\n{identity.private_key}\n".encode()) as file:
        # With an empty password an encrypted key fails; without one OpenSSL would ask at the terminal.
        context.load_cert_chain(file, password="")


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Give a path to read `content` at, since OpenSSL takes a key from a file alone: one in memory where there is any.

    Elsewhere the file is readable by us alone, and is gone before anything else is done.
    """
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("waypost-identity", os.MFD_CLOEXEC)
        try:
            os.write(handle, content)
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name


def _check_certificates(pem: str, path: str) -> list[FieldError]:
    try:
        x509.load_pem_x509_certificates(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        return [FieldError(path, "is no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    return []


def _check_private_key(pem: str, path: str) -> list[FieldError]:
    try:
        key = _private_key(pem)
    except TypeError:
        return [FieldError(path, "is encrypted; give it without a passphrase: it is encrypted at rest here")]
    except (ValueError, UnsupportedAlgorithm):
        return [FieldError(path, "is no private key in PEM form (-----BEGIN PRIVATE KEY-----)")]
    if isinstance(key, RSAPrivateKey) and key.key_size > RSA_BITS_MAX:
        return [FieldError(path, f"is an RSA key of {key.key_size} bits; at most {RSA_BITS_MAX} are taken")]
    return []


def _private_key(pem: str) -> PrivateKeyTypes:
    # Whether its numbers are primes is its owner's business. To find out takes seconds of a key that is fine, and for
    # ever of one that was made to.
    return load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)


def _is_pair(identity: ClientIdentity) -> bool:
    leaf = x509.load_pem_x509_certificates(identity.certificate.encode())[0]
    key = _private_key(identity.private_key)
    public = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return leaf.public_key().public_bytes(*public) == key.public_key().public_bytes(*public)
