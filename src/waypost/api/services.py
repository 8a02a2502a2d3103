"""What the API needs from the rest of the service. `service.py` makes one of these and hands it to `create_app`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from prometheus_client import CollectorRegistry

from waypost.api.shapes import TestResult
from waypost.clock import Clock
from waypost.delivery.egress import EgressRules
from waypost.ids import AccountId, EndpointId
from waypost.log import Log


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is at an address: `explanation` says in a plain sentence why there is no connection, None where there is."""

    is_allowed: bool
    address: str | None
    duration_ms: float
    certificate_ends_at: datetime | None
    explanation: str | None


class DeliveryControl(Protocol):
    """The delivery side, as the API drives it. What changed of an endpoint it hears from the log, after the commit."""

    async def send_test(self, account_id: AccountId, endpoint_id: EndpointId, event_type: str | None) -> TestResult:
        """Send the catalogue's example of `event_type` now, in any state of the endpoint; None means `webhook.test`.

        Raises NotFound when there is no such endpoint.
        """
        ...

    async def look_at(self, url: str) -> Found:
        """Connect to where `url` leads, without sending anything. InvalidDocument for what is no URL of ours."""
        ...

    def ready(self) -> bool:
        """Whether every loop of the delivery side is alive."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts that the API stands on, and the few settings that it reads.

    `public_url` is the address users see, without a slash at its end. `token_rate_per_minute` None means that API
    tokens have no limit.
    """

    log: Log
    clock: Clock
    egress: EgressRules
    delivery: DeliveryControl
    registry: CollectorRegistry
    public_url: str
    metrics_public: bool = False
    token_rate_per_minute: int | None = None
