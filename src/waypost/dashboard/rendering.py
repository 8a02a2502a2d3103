"""Templates: their environment, the filters that write times and numbers, and the headers of each page."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_time, get_timezone_location
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from litestar import MediaType, Response
from markupsafe import Markup, escape

from waypost.dashboard.assets import asset_url, has_asset
from waypost.dashboard.explanations import explained
from waypost.dashboard.highlighting import highlight, readable
from waypost.dashboard.marks import spark, split
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
        environment.filters |= {
            "bytes": size,
            "clock": clock,
            "count": count,
            "day": day,
            "explained": explained,
            "highlight": highlight,
            "instant": instant,
            "ms": milliseconds,
            "readable": readable,
            "when": when,
        }
        environment.globals |= {
            "asset_url": asset_url,
            "has_asset": has_asset,
            "languages": LANGUAGES,
            "spark": spark,
            "split": split,
            "zone_in_words": zone_in_words,
        }

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


def when(at: datetime | str) -> datetime:
    """Give an instant that the API wrote as text. What is one already stays as it is."""
    return at if isinstance(at, datetime) else datetime.fromisoformat(at)


@pass_context
def clock(context: Context, at: datetime | str | None, precision: str = "s") -> Markup:
    """A `<time>` with the time of day in the viewer's zone (`s`, `min`), the exact instant on hover; "–" for None."""
    if at is None:
        return Markup("–")
    words: Words = context["words"]
    zone: ZoneInfo = context["zone"]
    form = {"s": "HH:mm:ss", "min": "HH:mm"}[precision]
    local = when(at).astimezone(zone)
    return _time(local, format_time(local, form, tzinfo=zone, locale=words.locale))


@pass_context
def day(context: Context, at: datetime | str | None) -> Markup:
    """A `<time>` with the day, in the viewer's zone: "Tue 1 Dec", with the year where it is another than today's."""
    return Markup("–") if at is None else _time(when(at), _day_in_words(context, when(at)))


@pass_context
def instant(context: Context, at: datetime | str | None, precision: str = "min") -> Markup:
    """A `<time>` with day and time of day: "14:12" today, else "Tue 1 Dec, 14:12"; "–" for None."""
    if at is None:
        return Markup("–")
    zone: ZoneInfo = context["zone"]
    local = when(at).astimezone(zone)
    form = {"s": "HH:mm:ss", "min": "HH:mm"}[precision]
    text = format_time(local, form, tzinfo=zone, locale=context["words"].locale)
    if local.date() != _now(context).astimezone(zone).date():
        text = f"{_day_in_words(context, local)}, {text}"
    return _time(local, text)


def _day_in_words(context: Context, at: datetime) -> str:
    zone: ZoneInfo = context["zone"]
    local = at.astimezone(zone)
    form = "EEE d MMM" if local.year == _now(context).astimezone(zone).year else "d MMM y"
    return format_date(local.date(), form, locale=context["words"].locale)


def _now(context: Context) -> datetime:
    """When the page was asked for. A page without a visit gives it by itself."""
    now: datetime = context["visit"].now if "visit" in context else context["now"]
    return now


@pass_context
def zone_in_words(context: Context) -> str:
    """The viewer's time zone by its city, with what its clocks show now: "Reykjavík, GMT"."""
    zone: ZoneInfo = context["zone"]
    name = _now(context).astimezone(zone).tzname() or ""
    if zone.key == "UTC":
        return "UTC"
    city = get_timezone_location(zone, locale=context["words"].locale, return_city=True)
    return f"{city}, {name}"


def _time(at: datetime, text: str) -> Markup:
    exact = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
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
