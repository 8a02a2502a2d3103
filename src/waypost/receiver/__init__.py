"""The kit for the other end: check a webhook's signature, and let each event take effect exactly once.

It needs the standard library and `cryptography`, and nothing of the server.

    event = verify(body, headers, secret=SECRET)
    inbox.handle(event, lambda arrival: ship(arrival.connection, arrival.event))
"""

from waypost.receiver.diagnosis import Diagnosis, Finding, diagnose
from waypost.receiver.event import Event
from waypost.receiver.gaps import Gaps, gap_check
from waypost.receiver.inbox import Arrival, Duplicate, Handled, Ignored, Inbox, InboxError
from waypost.receiver.signature import (
    BodyRewritten,
    MalformedHeader,
    MalformedSecret,
    MalformedTimestamp,
    MissingHeader,
    SignatureError,
    TooNew,
    TooOld,
    UnreadableBody,
    WrongSignature,
    check_signature,
    verify,
)

__all__ = [
    "Arrival",
    "BodyRewritten",
    "Diagnosis",
    "Duplicate",
    "Event",
    "Finding",
    "Gaps",
    "Handled",
    "Ignored",
    "Inbox",
    "InboxError",
    "MalformedHeader",
    "MalformedSecret",
    "MalformedTimestamp",
    "MissingHeader",
    "SignatureError",
    "TooNew",
    "TooOld",
    "UnreadableBody",
    "WrongSignature",
    "check_signature",
    "diagnose",
    "gap_check",
    "verify",
]
