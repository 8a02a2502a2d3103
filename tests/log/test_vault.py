"""Secrets at rest."""

import pytest

from waypost.log import Vault, WrongKey
from waypost.log.vault import place

HERE = place("endpoints", "default", "ep_1")


def test_what_was_sealed_is_opened(vault: Vault) -> None:
    assert vault.open(vault.seal(b"whsec_canary", HERE), HERE) == b"whsec_canary"


def test_a_sealed_secret_is_not_to_be_seen_and_never_the_same_twice(vault: Vault) -> None:
    first, second = vault.seal(b"whsec_canary", HERE), vault.seal(b"whsec_canary", HERE)
    assert b"canary" not in first
    assert first != second


def test_a_secret_moved_to_another_place_does_not_open(vault: Vault) -> None:
    with pytest.raises(WrongKey):
        vault.open(vault.seal(b"whsec_canary", HERE), place("endpoints", "default", "ep_2"))


def test_another_key_does_not_open_it(vault: Vault) -> None:
    with pytest.raises(WrongKey, match="WAYPOST_SECRET_KEY"):
        Vault(bytes(32)).open(vault.seal(b"whsec_canary", HERE), HERE)


@pytest.mark.parametrize("cut", [0, 1, 12, 20])
def test_a_torn_secret_does_not_open(vault: Vault, cut: int) -> None:
    with pytest.raises(WrongKey):
        vault.open(vault.seal(b"whsec_canary", HERE)[:cut], HERE)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="31 bytes"):
        Vault(bytes(31))
