"""Messages of carriers, in their own format and under their own signature.

A source that does not exist and a signature that is wrong are answered alike, after the same work, and nothing is
stored: who cannot sign learns nothing, not even which sources there are.
"""

from typing import Any

from waypost.api.call import Call
from waypost.api.operations import Access, Answer, Body, Table
from waypost.api.reply import Reply, json_reply
from waypost.api.shapes import Received
from waypost.errors import CallerError
from waypost.intake import easypost
from waypost.log import Accepted, Source, units
from waypost.shipments.facts import Actor

TABLE = Table("Intake")


class SignatureRefused(CallerError):
    """The message's signature does not fit."""

    type, status = "signature-refused", 401


NO_SECRET = "no source has this secret"  # noqa: S105 - what is compared with when there is no source


@TABLE.add(
    "POST",
    "/v1/intake/{id}",
    access=Access.SOURCE,
    summary="Take a carrier's message",
    body=Body(type=dict[str, Any]),
    answers=Answer(status=200, type=Received, description="Stored, together with what follows from it."),
    problems=[401, 429, 503],
)
async def take_message(call: Call) -> Reply:
    """Take a message in the format of its source. No API token: the signature in `X-Hmac-Signature` is the proof.

    The same message again changes nothing. At most 600 a minute for each source.
    """
    body = await call.body()
    source = await call.services.log.find_source(call.path_text("id"))
    secret = NO_SECRET if source is None else source.secret
    signed = easypost.check_signature(secret, call.header(b"x-hmac-signature"), body)
    if source is None or not signed:
        raise SignatureRefused(
            "X-Hmac-Signature was not made with this source's secret over this body, or there is no such source.",
            headers={"www-authenticate": "X-Hmac-Signature"},
        )
    call.shared.intake.take(source.source_id)
    return await _take(call, source, body)


async def _take(call: Call, source: Source, body: bytes) -> Reply:
    log = call.services.log
    try:
        reports = easypost.read(body, actor=Actor(kind="source", source=source.source_id))
    except CallerError as error:
        await log.do(units.refuse_message(source.account_id, source.source_id, body, error.detail))
        raise
    taken = await log.do(units.take_message(source.account_id, source.source_id, body, reports))
    for outcome in taken.outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    accepted = [outcome for outcome in taken.outcomes if isinstance(outcome, Accepted)]
    events = sum(len(outcome.events) for outcome in accepted)
    return json_reply(Received(message_id=taken.message_id, shipments=len(accepted), events=events))
