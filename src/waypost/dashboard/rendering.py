"""Templates: their environment, the filters that write times and numbers, and the headers of each page."""

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_time
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from litestar import MediaType, Response
from markupsafe import Markup, escape

from waypost.dashboard.words import LANGUAGES, Words

# Pages run no script and no style of anybody else, and nothing that stands in the page itself.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "vary": "cookie, accept-language, hx-request",
}


class Renderer:
    """Makes pages of templates. One for the service."""

    def __init__(self) -> None:
        self._environment = environment = Environment(
            loader=PackageLoader("waypost.dashboard", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        )
        # The language is each page's own: the extension's functions read it from the context.
        environment.install_gettext_callables(  # type: ignore[attr-defined]
            pass_context(_gettext), pass_context(_ngettext), newstyle=True
        )
        environment.filters |= {"clock": clock, "day": day, "count": count, "bytes": size, "ms": milliseconds}
        environment.globals["languages"] = LANGUAGES

    def page(
        self, template: str, words: Words, zone: ZoneInfo, /, *, status: int = 200, **context: Any
    ) -> Response[str]:
        """Give a template as an answer, with the headers of every page."""
        made = self._environment.get_template(template).render(words=words, zone=zone, **context)
        return Response(made, status_code=status, media_type=MediaType.HTML, headers=HEADERS)


def _gettext(context: Context, message: str) -> str:
    return str(context["words"].translations.gettext(message))


def _ngettext(context: Context, one: str, many: str, n: int) -> str:
    return str(context["words"].translations.ngettext(one, many, n))


@pass_context
def clock(context: Context, at: datetime | None, precision: str = "s") -> Markup:
    """A `<time>` with the time of day in the viewer's zone (`s`, `min`), the exact instant on hover; "–" for None."""
    if at is None:
        return Markup("–")
    words: Words = context["words"]
    zone: ZoneInfo = context["zone"]
    form = {"s": "HH:mm:ss", "min": "HH:mm"}[precision]
    return _time(at, format_time(at.astimezone(zone), form, tzinfo=zone, locale=words.locale))


@pass_context
def day(context: Context, at: datetime | None) -> Markup:
    """A `<time>` with the day, in the viewer's zone: "Tue 1 Dec", with the year where it is another than today's."""
    if at is None:
        return Markup("–")
    words: Words = context["words"]
    local = at.astimezone(context["zone"])
    form = "EEE d MMM" if local.year == context["visit"].now.astimezone(context["zone"]).year else "d MMM y"
    return _time(at, format_date(local.date(), form, locale=words.locale))


def _time(at: datetime, text: str) -> Markup:
    exact = re.sub(r"\+00:00$", "Z", at.isoformat(timespec="milliseconds"))
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(exact, text)


def count(n: int) -> Markup:
    """A whole number with its thousands apart; a zero is faint."""
    return Markup('<span class="zero">0</span>') if n == 0 else escape(f"{n:,}")


def size(n: int) -> str:
    """A number of bytes: "94 bytes", "214 KB"."""
    return f"{n:,} bytes" if n < 10_000 else f"{n / 1000:,.0f} KB"


def milliseconds(ms: float | None) -> str:
    """A time span: "84 ms", "1.9 s"; "–" for None."""
    if ms is None:
        return "–"
    return f"{ms:,.0f} ms" if ms < 1_000 else f"{ms / 1000:,.1f} s"
