"""Plays the reports of the story to the service, over HTTP, as a transport system and a carrier do."""

import hashlib
import hmac
import unicodedata
from dataclasses import dataclass, field
from typing import assert_never

import msgspec

from waypost.client import Client, segment
from waypost.demo.story import Book, Cancel, CarrierMessage, Change, Report, Scan


class Source(msgspec.Struct, frozen=True):
    """Where a carrier's messages go to."""

    id: str


@dataclass(frozen=True, slots=True)
class Player:
    """Sends reports. `source_secret` signs what EasyPost would sign."""

    client: Client
    source_id: str
    source_secret: str = field(repr=False)

    def play(self, report: Report) -> None:
        """Send one report. Raises ClientError when it is not taken."""
        match report:
            case Book(reference, document):
                self.client.call("PUT", _path(reference), document)
            case Change(reference, patch):
                self.client.call("PATCH", _path(reference), patch)
            case Scan(reference, tracking_event):
                self.client.call("POST", _path(reference, "/tracking-events"), tracking_event)
            case Cancel(reference, reason):
                self.client.call("POST", _path(reference, "/cancel"), {"reason": reason})
            case CarrierMessage(message):
                self._post_message(msgspec.json.encode(message))
            case _:
                assert_never(report)

    def _post_message(self, body: bytes) -> None:
        # EasyPost signs with the normalised secret: docs.easypost.com, "Webhooks", X-Hmac-Signature.
        key = unicodedata.normalize("NFKD", self.source_secret).encode()
        signature = "hmac-sha256-hex=" + hmac.new(key, body, hashlib.sha256).hexdigest()
        carrier = Client(self.client.url, token=None)
        carrier.call("POST", f"/v1/intake/{self.source_id}", body, headers={"X-Hmac-Signature": signature})


def _path(reference: str, act: str = "") -> str:
    return f"/v1/shipments/{segment(reference)}{act}"
