"""Passwords: hashed by argon2id, in a thread, a few at a time."""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

LENGTH_MIN = 12
LENGTH_MAX = 256  # a hash reads all of it, and nobody types more
DIFFERENT_MIN = 5
AT_ONCE_MAX = 2  # each takes 64 MiB while it runs

TOO_SHORT = "Use at least 12 characters. A few words in a row are easy to keep in mind."
TOO_LONG = "Use at most 256 characters."
TOO_UNIFORM = "Use more different characters."
TOO_EASY = "This is too easy to guess. Use words that have nothing to do with you or Waypost."
WEAKNESSES = (TOO_SHORT, TOO_LONG, TOO_UNIFORM, TOO_EASY)


class Passwords:
    """Hashes and verifies. Made once."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        """Hash by `hasher`, or else with the parameters that RFC 9106 gives for little memory."""
        self._hasher = hasher or PasswordHasher()
        self._places = asyncio.Semaphore(AT_ONCE_MAX)
        self._of_nobody: str | None = None

    async def hash(self, password: str) -> str:
        """Give the hash to store."""
        async with self._places:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether `password` is the one of the `stored` hash. For None it takes as long, and is False."""
        if self._of_nobody is None:
            self._of_nobody = await self.hash("the password of nobody")
        async with self._places:
            matches = await asyncio.to_thread(self._verify, stored or self._of_nobody, password[:LENGTH_MAX])
        return matches and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


def weakness(password: str, *known: str) -> str | None:
    """Say in English what is too easy about a password, or None. `known` are words that anybody would try first."""
    if len(password) < LENGTH_MIN:
        return TOO_SHORT
    if len(password) > LENGTH_MAX:
        return TOO_LONG
    if len(set(password)) < DIFFERENT_MIN:
        return TOO_UNIFORM
    bare = password.casefold()
    guesses = [word for text in known for word in (text, *text.replace("@", " ").split()) if len(word) >= 4]
    for word in ("waypost", "password", *guesses):
        bare = bare.replace(word.casefold(), "")
    if len(bare) < LENGTH_MIN // 2:
        return TOO_EASY
    return None
