"""Client certificates: what is refused at creation, and mutual TLS with a server that asks for one."""

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from weakref import ref

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from delivery.dispatching import OK, a_message, an_endpoint, dispatching
from delivery.receivers import Authority, Receiver, receiving
from waypost.delivery.dispatch import Dispatched
from waypost.delivery.explain import explain
from waypost.delivery.identity import (
    CONTEXTS_KEPT,
    ClientIdentity,
    Contexts,
    check_identity,
    check_is_valid_at,
    context_of,
)

NOW = datetime.now(UTC)
PATH = "/auth"


def key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, passphrase: bytes | None = None) -> str:
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


@pytest.fixture(scope="module")
def stranger() -> Authority:
    return Authority("Authority of strangers")


@pytest.fixture(scope="module")
def identity(authority: Authority) -> ClientIdentity:
    certificate, key = authority.client("waypost")
    return ClientIdentity(certificate, key_pem(key))


def problems(certificate: str, private_key: str, ca: str | None = None) -> list[tuple[str, str]]:
    found = check_identity(ClientIdentity(certificate, private_key, ca), PATH)
    return [(error.path, error.message) for error in found]


# -- at creation


def test_a_certificate_with_its_key_is_fine(identity: ClientIdentity, authority: Authority):
    assert problems(identity.certificate, identity.private_key, authority.pem) == []


def test_a_chain_may_follow_the_certificate(identity: ClientIdentity, authority: Authority):
    assert problems(identity.certificate + authority.pem, identity.private_key) == []


def test_an_rsa_key_is_fine_too(authority: Authority):
    certificate, key = authority.client("waypost", key=rsa.generate_private_key(65537, 2048))
    assert problems(certificate, key_pem(key)) == []


def test_a_key_of_another_certificate_is_refused(identity: ClientIdentity, authority: Authority):
    _, other = authority.client("other")
    assert problems(identity.certificate, key_pem(other)) == [
        ("/auth/private_key", "is not the key of this certificate")
    ]


def test_an_encrypted_key_is_refused(authority: Authority):
    certificate, key = authority.client("waypost")
    (problem,) = problems(certificate, key_pem(key, b"passphrase"))
    assert problem[0] == "/auth/private_key"
    assert "is encrypted" in problem[1]


def an_rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """A key whose numbers fit together, though its factors are no primes: real ones take minutes to find."""
    p, q = (1 << bits // 2) - 105, (1 << bits // 2) - 59
    d = pow(65537, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(65537, p * q)
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def test_a_key_that_takes_long_to_sign_with_is_refused(identity: ClientIdentity):
    [problem] = problems(identity.certificate, key_pem(an_rsa_key(8192)))
    assert problem == ("/auth/private_key", "is an RSA key of 8192 bits; at most 4096 are taken")


def test_nobody_waits_for_a_proof_that_the_numbers_of_a_key_are_primes(identity: ClientIdentity):
    [problem] = problems(identity.certificate, key_pem(an_rsa_key(4096)))
    assert problem == ("/auth/private_key", "is not the key of this certificate")


def test_what_is_no_pem_is_named_place_by_place_and_not_repeated(identity: ClientIdentity):
    found = problems("canary-1", "canary-2", "canary-3")
    assert [path for path, _ in found] == ["/auth/certificate", "/auth/private_key", "/auth/ca"]
    assert "canary" not in str(found)


def test_a_key_too_weak_for_tls_is_refused(authority: Authority):
    certificate, key = authority.client("waypost", key=rsa.generate_private_key(65537, 1024))
    (problem,) = problems(certificate, key_pem(key))
    assert problem == ("/auth/certificate", "cannot be used for TLS: ee key too small")


@pytest.mark.parametrize(
    ("moved", "words"),
    [(timedelta(days=6), "has expired at "), (timedelta(days=-11), "is not valid before "), (timedelta(0), None)],
    ids=["after its time", "before its time", "now"],
)
def test_the_time_of_a_certificate_is_looked_at(identity: ClientIdentity, moved: timedelta, words: str | None):
    found = [error.message for error in check_is_valid_at(identity.certificate, NOW + moved, "/auth/certificate")]
    assert len(found) == (0 if words is None else 1)
    assert all(words and message.startswith(words) for message in found)


def test_neither_key_nor_certificate_shows_in_the_text_of_an_identity(identity: ClientIdentity):
    assert "BEGIN" not in repr(identity)


def test_no_file_and_no_handle_is_left_behind(identity: ClientIdentity, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = os.listdir("/proc/self/fd")
    for _ in range(5):
        context_of(identity)
    assert len(os.listdir("/proc/self/fd")) == len(before)
    assert list(tmp_path.iterdir()) == []


def test_where_there_are_no_files_in_memory_a_file_is_gone_at_once(identity: ClientIdentity, tmp_path, monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    context_of(identity)
    assert list(tmp_path.iterdir()) == []


# -- in use


def asking(authority: Authority, folder: Path) -> ssl.SSLContext:
    """The TLS settings of a server that wants a client certificate of `authority`."""
    context = authority.server(folder, "127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority.pem)
    return context


async def send(receiver: Receiver, identity: ClientIdentity | None, *, extra_ca_pem: str | None = None) -> Dispatched:
    auth = {"type": "none"}
    if identity is not None:
        auth = {"type": "mtls", "certificate": identity.certificate, "private_key": identity.private_key}
        if identity.ca is not None:
            auth["ca"] = identity.ca
    async with dispatching(extra_ca_pem=extra_ca_pem) as dispatcher:
        return await dispatcher.send(an_endpoint(receiver.https_url, auth=auth), a_message(), number=1)


def with_own_ca(identity: ClientIdentity, authority: Authority) -> ClientIdentity:
    return ClientIdentity(identity.certificate, identity.private_key, authority.pem)


async def test_a_server_that_asks_for_our_certificate_takes_the_event(authority, identity, tmp_path):
    async with receiving(OK, tls=asking(authority, tmp_path)) as receiver:
        dispatched = await send(receiver, with_own_ca(identity, authority))
    assert dispatched.result.outcome == "success"
    assert len(receiver.bodies) == 1


async def test_without_an_authority_of_its_own_those_of_the_system_count(authority, identity, tmp_path):
    async with receiving(OK, tls=asking(authority, tmp_path)) as receiver:
        assert (await send(receiver, identity)).result.outcome == "tls"
        assert (await send(receiver, identity, extra_ca_pem=authority.pem)).result.outcome == "success"


async def test_an_authority_of_its_own_stands_alone(authority, stranger, identity, tmp_path):
    async with receiving(OK, tls=asking(authority, tmp_path)) as receiver:
        dispatched = await send(receiver, with_own_ca(identity, stranger), extra_ca_pem=authority.pem)
    assert dispatched.result.outcome == "tls"
    assert receiver.bodies == []


@contextmanager
def refusing(tls: ssl.SSLContext) -> Iterator[Receiver]:
    """Run a server that tells a client what is wrong with its certificate, as OpenSSL does; asyncio's does not."""

    def serve() -> None:
        connection, _ = listener.accept()
        with tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as secured:
            with contextlib.suppress(ssl.SSLError):
                secured.do_handshake()
            socket.socket.shutdown(secured, socket.SHUT_WR)
            while socket.socket.recv(secured, 65_536):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        yield Receiver(listener.getsockname()[1])
        server.join()


async def test_a_server_that_gets_no_certificate_refuses_and_the_sentence_says_so(authority, tmp_path):
    with refusing(asking(authority, tmp_path)) as receiver:
        dispatched = await send(receiver, None, extra_ca_pem=authority.pem)
    assert dispatched.result.outcome == "tls"
    assert explain(dispatched.result, 15) == (
        "Your server wants a client certificate. Give one with the authentication mtls."
    )


async def test_a_server_that_does_not_know_our_authority_refuses_and_the_sentence_says_so(
    authority, stranger, tmp_path
):
    certificate, key = stranger.client("waypost")
    unknown = ClientIdentity(certificate, key_pem(key), authority.pem)
    with refusing(asking(authority, tmp_path)) as receiver:
        dispatched = await send(receiver, unknown)
    assert dispatched.result.outcome == "tls"
    assert explain(dispatched.result, 15) == (
        "Your server does not accept our client certificate. Check that it trusts the authority that signed it."
    )


async def test_a_certificate_whose_time_is_over_is_told_as_ours(authority, tmp_path):
    certificate, key = authority.client("waypost", expired=True)
    expired = ClientIdentity(certificate, key_pem(key), authority.pem)
    with refusing(asking(authority, tmp_path)) as receiver:
        dispatched = await send(receiver, expired)
    assert explain(dispatched.result, 15) == "Our client certificate has expired. Give a new one."


async def test_a_server_that_cuts_us_off_without_a_word_may_not_like_our_certificate(authority, stranger, tmp_path):
    certificate, key = stranger.client("waypost")
    unknown = ClientIdentity(certificate, key_pem(key), authority.pem)
    async with receiving(OK, tls=asking(authority, tmp_path)) as receiver:
        dispatched = await send(receiver, unknown)
    assert dispatched.result.outcome == "reset"
    assert "do not accept a client certificate" in explain(dispatched.result, 15)


async def test_a_new_certificate_makes_a_new_connection(authority, identity, tmp_path):
    async with receiving(OK, tls=asking(authority, tmp_path)) as receiver, dispatching() as dispatcher:
        certificate, key = authority.client("waypost")
        for given in (identity, identity, ClientIdentity(certificate, key_pem(key))):
            auth = {"type": "mtls", "certificate": given.certificate, "private_key": given.private_key}
            endpoint = an_endpoint(receiver.https_url, auth=auth | {"ca": authority.pem})
            assert (await dispatcher.send(endpoint, a_message(), number=1)).result.outcome == "success"
        assert receiver.connections == 2


async def test_a_certificate_that_cannot_be_used_is_a_failed_attempt(authority, identity, tmp_path):
    _, other = authority.client("other")
    async with receiving(OK, tls=asking(authority, tmp_path)) as receiver:
        dispatched = await send(receiver, ClientIdentity(identity.certificate, key_pem(other), authority.pem))
    assert dispatched.result.outcome == "tls"
    assert "client certificate cannot be used" in (dispatched.result.error_text or "")
    assert explain(dispatched.result, 15) == "Our client certificate cannot be used. Give it anew, with its own key."


# -- the settings of connections


@pytest.fixture
def contexts() -> Iterator[Contexts]:
    contexts = Contexts()
    yield contexts
    contexts.close()


def of_authority(identity: ClientIdentity, place: int, authority: Authority) -> ClientIdentity:
    """An identity like another one, and yet another one."""
    return ClientIdentity(identity.certificate, identity.private_key, authority.pem + "\n" * place)


async def test_the_tls_settings_of_an_identity_are_made_once_and_beside_the_loop(contexts, identity, authority):
    mine = of_authority(identity, 0, authority)
    asked = [asyncio.ensure_future(contexts.of(mine)) for _ in range(3)]
    await asyncio.sleep(0)  # they are made in a thread: the loop goes on meanwhile
    assert not any(one.done() for one in asked)
    first, second, third = await asyncio.gather(*asked)
    assert first is second is third is await contexts.of(mine)


async def test_who_is_given_up_takes_the_tls_settings_from_nobody_else(contexts, identity, authority):
    mine = of_authority(identity, 0, authority)
    given_up, other = (asyncio.ensure_future(contexts.of(mine)) for _ in range(2))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await other is await contexts.of(mine)
    assert given_up.cancelled()


async def test_tls_settings_that_nobody_uses_are_not_kept_for_ever(contexts, identity, authority):
    gone = ref(await contexts.of(of_authority(identity, 0, authority)))
    in_use = await contexts.of(of_authority(identity, 1, authority))
    for place in range(2, CONTEXTS_KEPT + 2):
        await contexts.of(of_authority(identity, place, authority))
    gc.collect()
    assert gone() is None
    assert await contexts.of(of_authority(identity, 1, authority)) is in_use


async def test_an_identity_that_cannot_be_used_is_refused_each_time(contexts, identity):
    broken = ClientIdentity(identity.certificate, "nothing")
    for _ in range(2):
        with pytest.raises(ssl.SSLError):
            await contexts.of(broken)
