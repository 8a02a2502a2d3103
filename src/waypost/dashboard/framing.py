"""Who may hold our pages in a frame: nobody, but for an account's own TMS in a session that a portal link began."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from waypost.dashboard.rendering import CSP, HEADERS
from waypost.log.sessions import PortalLook

_ORIGIN = re.compile(r"https?://[a-z0-9.-]{1,253}(?::[0-9]{1,5})?")


def headers_for(look: PortalLook | None) -> Mapping[str, str]:
    """Give the headers of a page. With the `look` of a portal, its origins may frame it, and its logo is shown."""
    if look is None:
        return HEADERS
    return {**HEADERS, "content-security-policy": policy_for(look)}


def policy_for(look: PortalLook) -> str:
    """Give the Content-Security-Policy of a portal's pages. What is no origin is left out, whoever stored it."""
    origins = [origin for origin in look.origins if _ORIGIN.fullmatch(origin)]
    policy = CSP
    if origins:
        policy = policy.replace("frame-ancestors 'none'", f"frame-ancestors {' '.join(origins)}")
    logo = origin_of(look.logo_url)
    return policy if logo is None else policy.replace("img-src 'self' data:", f"img-src 'self' data: {logo}")


def origin_of(url: str | None) -> str | None:
    """Give the origin of an address, or None for what has none that could stand in a policy."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return None
    return origin if _ORIGIN.fullmatch(origin) else None
