"""The page of all parts, as they are: to look at after each change of the stylesheet. It shows nothing of anybody."""

from datetime import timedelta

from litestar import Response, get

from waypost.dashboard.app import frame_of, words_for, zone_for
from waypost.dashboard.forms import Typed
from waypost.dashboard.visit import PageRequest

_TOKENS = (
    (
        "bg",
        "surface",
        "sunken",
        "line",
        "line-2",
        "field",
        "ink-3",
        "ink-2",
        "ink",
        "accent",
        "accent-2",
        "accent-soft",
    ),
    (
        "ok",
        "ok-mark",
        "ok-soft",
        "warn",
        "warn-mark",
        "warn-soft",
        "bad",
        "bad-mark",
        "bad-soft",
        "hold",
        "hold-mark",
        "hold-soft",
    ),
    ("c-done", "c-retry", "c-fail", "c-wait", "t-dns", "t-conn", "t-tls", "t-wait", "t-body"),
)
_BUSY_DAY = (60, 44, 30, 18, 14, 16, 16, 14, 16, 14, 15, 16, 15, 16, 34, 36, 40, 56, 62, 66, 60, 58, 66, 64)
_HELD_DAY = (6, 4, 4, 4, 4, 5, 10, 22, 40, 52, 58, 62, 66, 60, 48, 56, 50, 66, 58, 56, 50, 48, 40, 36)


@get("/patterns")
async def patterns(request: PageRequest) -> Response[str]:
    """Show every part in the theme of the browser."""
    frame = frame_of(request)
    now = frame.services.clock.now()
    wrong = "10.0.4.7 is a private address. Use a public one, or ask your operator to allow its network."
    return frame.renderer.page(
        "patterns.html",
        words_for(request),
        zone_for(request),
        now=now,
        tokens=_TOKENS,
        soon=now + timedelta(minutes=15, seconds=5),
        busy_day=[(n, 0, 0) for n in _BUSY_DAY],
        rough_day=[(n, 14 if hour in (3, 17) else 30 if hour == 23 else 0, 0) for hour, n in enumerate(_BUSY_DAY)],
        held_day=[(0, 0, n) for n in _HELD_DAY],
        form=Typed({"limit": "15 seconds", "name": "Yard Pärnu", "url": "http://10.0.4.7/in"}, {"url": wrong}),
        timings={"dns": 3.0, "connect": 23.0, "tls": 38.0, "first_byte": 86.0, "body": 1.0, "total": 151.0},
    )


HANDLERS = [patterns]
