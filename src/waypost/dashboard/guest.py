"""One request of somebody who is not signed in, to a page that leads in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Response

from waypost import __version__
from waypost.dashboard import door
from waypost.dashboard.cookies import FORM
from waypost.dashboard.visit import Frame, PageRequest
from waypost.dashboard.words import Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """A request without a session. Its forms are tied to the browser by a cookie that says nothing else."""

    frame: Frame
    request: PageRequest
    words: Words
    zone: ZoneInfo
    now: datetime
    secret: str
    has_secret: bool
    """Whether the browser has the cookie already."""

    @property
    def version(self) -> str:
        """What stands below the pages that lead in."""
        return __version__

    @property
    def csrf(self) -> str:
        """What the forms carry."""
        return door.csrf_token(self.secret)

    def page(self, template: str, /, *, status: int = 200, **context: Any) -> Response[Any]:
        """Give a page made from a template, and the cookie where it is missing."""
        page = self.frame.renderer.page(template, self.words, self.zone, status=status, visit=self, **context)
        if not self.has_secret:
            page.cookies.append(self.frame.keeper.cookies.make(FORM, self.secret))
        return page


async def make_guest(frame: Frame, request: PageRequest, words: Words, zone: ZoneInfo) -> Guest:
    """Give the guest that a request comes from. Raises Forbidden for a form that came from elsewhere."""
    if request.method not in door.SAFE_METHODS:
        door.check_place(frame, request)
        await door.check_form(frame, request)
    secret = door.form_secret(frame, request)
    return Guest(
        frame=frame,
        request=request,
        words=words,
        zone=zone,
        now=frame.services.clock.now(),
        secret=secret or door.new_form_secret(),
        has_secret=secret is not None,
    )
