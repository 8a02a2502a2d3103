"""How long things are kept, who is told of trouble, and how the account's pages look in its TMS."""

from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post

from waypost.dashboard.forms import Typed, refused, typed
from waypost.dashboard.visit import PageRequest, Visit
from waypost.errors import InvalidDocument
from waypost.shipments.codes import time_zones

RETENTION = "/settings/account/retention"
_PORTAL_FIELDS = {"origins": "portal_origins", "accent": "portal_accent", "logo_url": "portal_logo_url"}


@get(RETENTION)
async def retention_page(visit: Visit) -> Response[str]:
    """Show the account's settings."""
    return await _page(visit, _form_of(await visit.call("get_account")))


@post(RETENTION, status_code=200)
async def change_account(visit: Visit, request: PageRequest) -> Response[Any]:
    """Change the account's settings."""
    form = typed((await request.form()).multi_items())
    try:
        await visit.call("patch_account", body=_patch(form))
    except InvalidDocument as error:
        return await _page(visit, refused(form, error, _field_of), status=422)
    return visit.go(RETENTION, said=visit.words("The settings are kept."))


def _form_of(account: Mapping[str, Any]) -> Typed:
    portal = account["portal"]
    return Typed(
        {
            "name": account["name"],
            "alert_email": account["alert_email"] or "",
            "time_zone": account["time_zone"] or "",
            "eta_threshold_minutes": str(account["eta_threshold_minutes"]),
            "stale_after_hours": str(account["stale_after_hours"] or ""),
            "portal_origins": "\n".join(portal["origins"]),
            "portal_accent": portal["accent"] or "",
            "portal_logo_url": portal["logo_url"] or "",
        }
    )


def _patch(form: Typed) -> dict[str, Any]:
    """What is typed, as a merge patch of the account; an empty field brings its default back."""
    return {
        "name": form["name"].strip(),
        "alert_email": form["alert_email"].strip() or None,
        "time_zone": form["time_zone"] or None,
        "eta_threshold_minutes": _number(form["eta_threshold_minutes"]),
        "stale_after_hours": _number(form["stale_after_hours"]),
        "portal": {
            "origins": form["portal_origins"].split(),
            "accent": form["portal_accent"].strip() or None,
            "logo_url": form["portal_logo_url"].strip() or None,
        },
    }


def _number(text: str) -> int | str | None:
    """A number as such; what is none goes on as it was typed, and is refused with words."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else text or None


def _field_of(path: str) -> str:
    first, _, rest = path.removeprefix("/").partition("/")
    return _PORTAL_FIELDS.get(rest.partition("/")[0], first) if first == "portal" else first


async def _page(visit: Visit, form: Typed, *, status: int = 200) -> Response[str]:
    entrance = visit.frame.keeper.entrance
    return visit.page(
        "retention.html",
        status=status,
        active="retention",
        form=form,
        days=entrance.retention_days,
        days_owed=entrance.retention_days_owed,
        has_mail=entrance.send_mail is not None,
        zone_pairs=[(zone, zone.replace("_", " ")) for zone in sorted(time_zones())],
    )


HANDLERS = [retention_page, change_account]
