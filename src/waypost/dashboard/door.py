"""Who is at the door: the session of a request, and the token that its forms carry."""

import hashlib
import hmac

from waypost.dashboard.visit import Frame, PageRequest
from waypost.errors import Forbidden
from waypost.log.sessions import Session

COOKIE = "waypost_session"
CSRF_FIELD, CSRF_HEADER = "csrf", "x-csrf-token"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


async def session_of(frame: Frame, request: PageRequest) -> Session | None:
    """Give the session whose cookie came with a request, or None."""
    return None


def csrf_token(secret: str) -> str:
    """Give what the forms of a session carry. It follows from the session's secret and does not tell it."""
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()


async def check_csrf(request: PageRequest, token: str) -> None:
    """Refuse a change that no page of ours asked for: from elsewhere, or without the session's token."""
    if request.method in SAFE_METHODS:
        return
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Forbidden("This came from another site, and was not done.")
    given = request.headers.get(CSRF_HEADER) or (await request.form()).get(CSRF_FIELD, "")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), token.encode()):
        raise Forbidden("The page was too old. Open it anew, and try again.")
