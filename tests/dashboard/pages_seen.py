"""The pages that are looked at in every test run. Add yours: a name for its pictures, and its path.

A path may hold ids of the world in braces: {endpoints[ERP production]}, {shipments[SO-48213]},
{events[shipment.status.collected]}; see dashboard.world.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """One page. `ready` is a selector to wait for, `status` what it answers."""

    name: str
    path: str
    ready: str = "main h1"
    status: int = 200
    signed_in: bool = True


WEBHOOKS = "/settings/integrations/webhooks"
CATALOGUE = "/settings/integrations/catalogue"

PAGES = (
    Seen("webhooks", WEBHOOKS),
    Seen("add-endpoint", f"{WEBHOOKS}/new"),
    Seen("endpoint", WEBHOOKS + "/{endpoints[Customer portal]}"),
    Seen("endpoint-active", WEBHOOKS + "/{endpoints[ERP production]}"),
    Seen("endpoint-edit", WEBHOOKS + "/{endpoints[Customer portal]}/edit"),
    Seen("endpoint-secret", WEBHOOKS + "/{endpoints[Customer portal]}/secret"),
    Seen("delivery", WEBHOOKS + "/{endpoints[ERP production]}/deliveries/{events[shipment.status.collected]}"),
    Seen("delivery-waiting", WEBHOOKS + "/{endpoints[Dispatch board]}/deliveries/{events[shipment.status.collected]}"),
    Seen("shipments", "/shipments"),
    Seen("shipments-none", "/shipments?q=nothing"),
    Seen("shipment", "/shipments/{shipments[SO-48213]}"),
    Seen("events", "/events"),
    Seen("event", "/events/{events[shipment.status.collected]}"),
    Seen("catalogue", CATALOGUE),
    Seen("event-type", f"{CATALOGUE}/shipment.status.delivered"),
    Seen("signature-check", "/settings/integrations/signature-check"),
    Seen("intake", "/intake"),
    Seen("patterns", "/patterns"),
    Seen("overview", "/"),
    Seen("overview-week", "/?window=week"),
    Seen("sign-in", "/sign-in", signed_in=False),
    Seen("sign-in-token", "/sign-in?with=operator", signed_in=False),
    Seen("forgotten", "/forgotten", signed_in=False),
    Seen("people", "/settings/account/people"),
    Seen("tokens", "/settings/account/tokens"),
    Seen("audit", "/settings/account/audit"),
    Seen("retention", "/settings/account/retention"),
    Seen("you", "/you"),
    Seen("no-page", "/there/is/no/such/page", status=404),
)
