"""What an open page listens to: one stream of server-sent events, which says what moved and nothing more.

`changed` names what moved: `log`, ids of endpoints, or `endpoints` for many. `beat` says that nothing did. `ended` says
that the session is over, or is of another account now: the page loads itself anew, which leads to the sign-in.
"""

from collections.abc import AsyncGenerator

from litestar import get
from litestar.response import Stream

from waypost.dashboard.door import session_of
from waypost.dashboard.rendering import HEADERS
from waypost.dashboard.visit import PageRequest, Visit
from waypost.ids import AccountId

QUIET_S = 15.0  # proxies close connections that are silent for a minute, some for half of it
CHECK_SESSION_S = 15.0


@get("/live")
async def live(visit: Visit, request: PageRequest) -> Stream:
    """Tell a page what moved, until it is closed, its session ends or the service stops."""
    visit.frame.pulses.check_room(visit.account_id)
    headers = {**HEADERS, "x-accel-buffering": "no"}
    return Stream(_events(visit, request), media_type="text/event-stream", headers=headers)


async def _events(visit: Visit, request: PageRequest) -> AsyncGenerator[bytes, None]:
    clock = visit.frame.services.clock
    checked_at = clock.monotonic()
    heard = visit.frame.pulses.follow(visit.account_id, QUIET_S)
    await anext(heard)
    yield b"retry: 2000\n\n"
    async for moved in heard:
        if clock.monotonic() - checked_at >= CHECK_SESSION_S or not moved:
            checked_at = clock.monotonic()
            if not await _goes_on(visit.account_id, visit, request):
                yield b"event: ended\ndata: -\n\n"
                return
        yield f"event: changed\ndata: {' '.join(sorted(moved))}\n\n".encode() if moved else b"event: beat\ndata: -\n\n"


async def _goes_on(account_id: AccountId, visit: Visit, request: PageRequest) -> bool:
    """Whether the session is alive and of the same account. Listening does not keep it alive."""
    signed = await session_of(visit.frame, request, marks_seen=False)
    return signed is not None and signed.session.account_id == account_id


HANDLERS = [live]
