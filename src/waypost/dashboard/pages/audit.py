"""The audit log: who did what, with an address for each entry and each filter."""

from collections.abc import Mapping
from urllib.parse import urlencode

from litestar import Response, get

from waypost.dashboard.visit import Visit
from waypost.log.cursors import write_cursor

AUDIT = "/settings/account/audit"
ROWS = 50
LENGTH_MAX = 200

# What each action is called. The code of one that is not here stands for itself.
ACTIONS: Mapping[str, str] = {
    "account.changed": "Changed the account",
    "account.created": "Made the account",
    "delivery.resent": "Resent a delivery",
    "endpoint.changed": "Changed an endpoint",
    "endpoint.created": "Added an endpoint",
    "endpoint.deleted": "Deleted an endpoint",
    "endpoint.paused": "Paused an endpoint",
    "endpoint.replay_cancelled": "Cancelled a replay",
    "endpoint.replayed": "Replayed events",
    "endpoint.resumed": "Resumed an endpoint",
    "endpoint.secret_revealed": "Looked at a secret",
    "endpoint.secret_rotated": "Rotated a secret",
    "event_type.deleted": "Deleted an event type",
    "event_type.put": "Put an event type",
    "link.first_owner_made": "Made a link for the first owner",
    "link.invitation_made": "Invited somebody",
    "link.password_made": "Made a link for another password",
    "link.portal_made": "Made a portal link",
    "link.setup_made": "Made a link for a developer",
    "link.withdrawn": "Withdrew a link",
    "person.changed": "Changed their profile",
    "person.identity_bound": "Was recognised by the identity provider",
    "person.joined": "Joined",
    "person.passkey_added": "Added a passkey",
    "person.passkey_removed": "Removed a passkey",
    "person.password_changed": "Changed their password",
    "person.removed": "Removed somebody",
    "person.role_changed": "Changed a role",
    "session.ended": "Ended one of their sessions",
    "session.signed_in": "Signed in",
    "session.signed_out": "Signed out",
    "shipment.erased": "Erased the personal data of a shipment",
    "source.changed": "Changed a source",
    "source.created": "Added a source",
    "source.deleted": "Deleted a source",
    "token.created": "Made an API token",
    "token.revoked": "Revoked an API token",
}


@get(AUDIT)
async def audit_page(visit: Visit) -> Response[str]:
    """Show who did what, the newest first."""
    asked = visit.request.query_params
    wanted = {name: asked.get(name, "")[:LENGTH_MAX] or None for name in ("actor", "action", "subject")}
    at = asked.get("at", "")[:LENGTH_MAX]
    # An entry's own address begins the page with it: nothing stands between an id and the same with a 0 behind it.
    cursor = write_cursor(f"{at}0") if at else asked.get("cursor")
    listed = await visit.call("list_audit", query={**wanted, "limit": ROWS, "cursor": cursor})
    kept = {name: value for name, value in wanted.items() if value}
    return visit.page(
        "audit.html",
        active="audit",
        entries=listed["items"],
        wanted=wanted,
        at=at,
        actions=ACTIONS,
        next=f"{AUDIT}?{urlencode({**kept, 'cursor': listed['next']})}" if listed["next"] else None,
        without={name: _address({other: value for other, value in kept.items() if other != name}) for name in kept},
        narrower=lambda name, value: _address({**kept, name: value}),
    )


def _address(kept: Mapping[str, str]) -> str:
    return f"{AUDIT}?{urlencode(kept)}" if kept else AUDIT


HANDLERS = [audit_page]
