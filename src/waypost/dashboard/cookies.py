"""The cookies: which names they bear, and with what they are protected.

On https they are `__Host-` cookies: only this host, over TLS, can have set them. Plain names are for loopback only. The
portal has a cookie of its own, which a browser keeps apart for each site that holds the pages in a frame.
"""

import ipaddress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from litestar.datastructures import Cookie

LANGUAGE = "waypost_language"
SESSION, PORTAL, FORM, PROVIDER = "waypost_session", "waypost_portal", "waypost_form", "waypost_provider"


@dataclass(eq=False)
class PartitionedCookie(Cookie):
    """A cookie that is kept apart for each site that holds our pages in a frame."""

    def to_header(self, **kwargs: Any) -> str:
        """Write it as Set-Cookie has it."""
        return f"{super().to_header(**kwargs)}; Partitioned"


@dataclass(frozen=True, slots=True)
class Cookies:
    """How cookies are named and set under one public URL."""

    public_url: str

    @property
    def is_https(self) -> bool:
        """Whether users come over TLS."""
        return self.public_url.startswith("https://")

    def name(self, plain: str) -> str:
        """Give the name that a cookie has here."""
        return f"__Host-{plain}" if self.is_https else plain

    def are_safe_at(self, host: str) -> bool:
        """Whether a cookie may be set for who comes to this `Host`: over TLS, or without leaving the machine."""
        return self.is_https or is_loopback(host)

    def make(self, plain: str, value: str, max_age_s: int | None = None) -> Cookie:
        """Give a cookie; without `max_age_s` the browser forgets it when it is closed."""
        if plain == PORTAL:
            # Browsers take Secure cookies from loopback as well, and SameSite=None only with it.
            return PartitionedCookie(
                key=self.name(plain), value=value, max_age=max_age_s, secure=True, httponly=True, samesite="none"
            )
        return Cookie(
            key=self.name(plain), value=value, max_age=max_age_s, secure=self.is_https or None, httponly=True,
            samesite="lax",
        )  # fmt: skip

    def forget(self, plain: str) -> Cookie:
        """Give a cookie that takes its namesake away."""
        return self.make(plain, "", max_age_s=0)


def make_language_cookie(code: str) -> Cookie:
    """Give the cookie that keeps a language for who is not signed in. It is no secret."""
    return Cookie(key=LANGUAGE, value=code, max_age=365 * 24 * 3600, samesite="lax")


def is_loopback(host: str) -> bool:
    """Whether a `Host` header names this machine itself."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
