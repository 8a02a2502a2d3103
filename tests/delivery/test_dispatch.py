"""From a message to the request that goes out, by an endpoint's settings, on real sockets."""

import base64
import html
import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from standardwebhooks.webhooks import Webhook
from svix.webhooks import Webhook as SvixWebhook

from delivery.dispatching import (
    NOW,
    OK,
    PRIVATE_KEY,
    SECRET,
    a_body,
    a_message,
    an_endpoint,
    dispatching,
    headers_of,
)
from delivery.receivers import LOOPBACK_ALLOWED, Receiver, answer, receiving
from waypost.clock import SystemClock
from waypost.delivery.attempt import detail
from waypost.delivery.dispatch import Dispatcher
from waypost.delivery.message import Message, Part
from waypost.delivery.sender import Sender
from waypost.delivery.signing import public_key
from waypost.log.records import EndpointSecret
from waypost.receiver import check_signature, verify
from waypost.receiver.signature import WrongSignature

PUBLIC_KEY = public_key(PRIVATE_KEY)
SIGNING_KEY = EndpointSecret(PRIVATE_KEY, NOW, None, PUBLIC_KEY)
SHARED = EndpointSecret(SECRET, NOW)


async def sent(*secrets: EndpointSecret, message: Message | None = None, **settings: Any) -> Receiver:
    async with receiving(OK) as receiver, dispatching() as dispatcher:
        endpoint = an_endpoint(receiver.url, *secrets, **settings)
        dispatched = await dispatcher.send(endpoint, message or a_message(), number=3)
        assert dispatched.result.outcome == "success"
    return receiver


def passes(receiver: Receiver, *secrets: str) -> bool:
    try:
        check_signature(receiver.bodies[-1], headers_of(receiver), secret=secrets, now=NOW)
    except WrongSignature:
        return False
    return True


# -- bodies and formats


async def test_the_stored_bytes_go_out_as_they_are():
    receiver = await sent()
    headers = headers_of(receiver)
    assert receiver.bodies == [a_body()]
    assert (headers["webhook-id"], headers["waypost-event-type"]) == ("evt_1", "shipment.created")
    assert (headers["waypost-attempt"], headers["content-type"]) == ("3", "application/json")
    assert "waypost-replay" not in headers


async def test_a_replay_is_marked_in_a_header():
    receiver = await sent(message=a_message(replay_id="job_1"))
    assert headers_of(receiver)["waypost-replay"] == "job_1"


async def test_an_endpoint_that_wants_changes_gets_no_shipment():
    receiver = await sent(payload="changes", message=a_message("shipment.updated"))
    assert json.loads(receiver.bodies[0])["data"].keys() == {"changed", "changes", "actor"}


async def test_an_endpoint_without_personal_data_gets_no_contacts():
    receiver = await sent(personal_data=False)
    parties = json.loads(receiver.bodies[0])["data"]["shipment"]["parties"]
    assert {party["contact"] for party in parties.values() if party} == {None}


async def test_cloudevents_go_out_with_their_content_type():
    receiver = await sent(format="cloudevents")
    headers, event = headers_of(receiver), json.loads(receiver.bodies[0])
    assert headers["content-type"] == "application/cloudevents+json"
    assert (event["specversion"], event["type"]) == ("1.0", "shipment.created")
    assert passes(receiver, SECRET)


def a_batch(*types: str) -> Message:
    return Message("bat_evt_1-2", "batch", tuple(Part(a_body(one)) for one in types), is_batch=True)


async def test_a_batch_is_an_array_of_events_in_order():
    receiver = await sent(format="batch", message=a_batch("shipment.created", "shipment.updated"))
    headers = headers_of(receiver)
    assert [event["type"] for event in json.loads(receiver.bodies[0])] == ["shipment.created", "shipment.updated"]
    assert (headers["webhook-id"], headers["waypost-event-type"]) == ("bat_evt_1-2", "batch")
    assert headers["content-type"] == "application/json"
    assert passes(receiver, SECRET)


async def test_each_event_of_a_batch_is_rendered_by_the_payload():
    receiver = await sent(format="batch", payload="reference", message=a_batch("shipment.created", "shipment.updated"))
    assert [event["data"] for event in json.loads(receiver.bodies[0])] == [{}, {}]


async def test_one_event_for_an_endpoint_of_batches_is_an_array_of_one():
    receiver = await sent(format="batch")
    assert receiver.bodies == [b"[" + a_body() + b"]"]
    assert headers_of(receiver)["waypost-event-type"] == "batch"


async def test_a_batch_stays_one_when_the_format_became_cloudevents():
    receiver = await sent(format="cloudevents", message=a_batch("shipment.created", "shipment.updated"))
    assert headers_of(receiver)["content-type"] == "application/cloudevents-batch+json"
    assert [event["specversion"] for event in json.loads(receiver.bodies[0])] == ["1.0", "1.0"]


# -- signatures


async def test_v1_alone_is_signed_with_the_secret_alone():
    receiver = await sent(SHARED, SIGNING_KEY, signature=("v1",))
    assert headers_of(receiver)["webhook-signature"].startswith("v1,")
    assert passes(receiver, SECRET)
    assert not passes(receiver, PUBLIC_KEY)


async def test_v1a_alone_is_signed_with_the_key_alone():
    receiver = await sent(SHARED, SIGNING_KEY, signature=("v1a",))
    assert headers_of(receiver)["webhook-signature"].startswith("v1a,")
    assert passes(receiver, PUBLIC_KEY)
    assert not passes(receiver, SECRET)


async def test_both_signatures_are_there_and_each_passes_alone():
    receiver = await sent(SHARED, SIGNING_KEY, signature=("v1", "v1a"))
    schemes = [one.partition(",")[0] for one in headers_of(receiver)["webhook-signature"].split()]
    assert sorted(schemes) == ["v1", "v1a"]
    assert passes(receiver, SECRET)
    assert passes(receiver, PUBLIC_KEY)


async def test_the_kit_gives_the_event_that_was_signed_with_a_key():
    receiver = await sent(SIGNING_KEY, signature=("v1a",))
    event = verify(receiver.bodies[0], headers_of(receiver), secret=PUBLIC_KEY, now=NOW)
    assert event.type == "shipment.created"


async def test_a_changed_byte_fails_the_key_signature():
    receiver = await sent(SIGNING_KEY, signature=("v1a",))
    receiver.bodies[0] = receiver.bodies[0].replace(b"shipment.created", b"shipment.createD")
    assert not passes(receiver, PUBLIC_KEY)


@pytest.mark.parametrize("judge", [Webhook, SvixWebhook], ids=["standardwebhooks", "svix"])
async def test_the_packages_of_others_pass_a_request_with_both_signatures(judge):
    async with receiving(OK) as receiver:
        dispatcher = Dispatcher(Sender(LOOPBACK_ALLOWED), SystemClock())
        endpoint = an_endpoint(receiver.url, SHARED, SIGNING_KEY, signature=("v1a", "v1"))
        await dispatcher.send(endpoint, a_message(), number=1)
        await dispatcher.close()
    judge(SECRET).verify(receiver.bodies[0], headers_of(receiver))
    with pytest.raises(Exception, match="signature"):
        judge(SECRET).verify(receiver.bodies[0] + b" ", headers_of(receiver))


@pytest.mark.parametrize("scheme", ["v1", "v1a"])
async def test_old_and_new_sign_side_by_side_until_the_overlap_ends(scheme):
    old_key, soon = "whsk_" + base64.b64encode(bytes(32)).decode(), NOW + timedelta(seconds=1)
    old_secret = "whsec_" + base64.b64encode(bytes(32)).decode()
    old = [EndpointSecret(old_secret, NOW, soon), EndpointSecret(old_key, NOW, soon, public_key(old_key))]
    over = [msgspec_replace(secret, NOW) for secret in old]
    receiver = await sent(SHARED, SIGNING_KEY, *old, signature=(scheme,))
    new, before = (SECRET, old_secret) if scheme == "v1" else (PUBLIC_KEY, public_key(old_key))
    assert (passes(receiver, new), passes(receiver, before)) == (True, True)
    receiver = await sent(SHARED, SIGNING_KEY, *over, signature=(scheme,))
    assert (passes(receiver, new), passes(receiver, before)) == (True, False)


def msgspec_replace(secret: EndpointSecret, expires_at: Any) -> EndpointSecret:
    return EndpointSecret(secret.secret, secret.created_at, expires_at, secret.public_key)


# -- authentication by headers


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        ({"type": "basic", "username": "wayü", "password": "s:ec"}, "authorization", "Basic d2F5w7w6czplYw=="),
        ({"type": "bearer", "token": "s3cret"}, "authorization", "Bearer s3cret"),
        ({"type": "header", "name": "X-Api-Key", "value": "s3cret"}, "x-api-key", "s3cret"),
    ],
    ids=["basic", "bearer", "header"],
)
async def test_the_request_shows_who_we_are(auth, name, value):
    headers = headers_of(await sent(auth=auth, headers={"X-Own": "1"}))
    assert (headers[name], headers["x-own"]) == (value, "1")


async def test_no_authentication_shows_nothing():
    assert "authorization" not in headers_of(await sent())


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "basic", "username": "us3r", "password": "canary-1"},
        {"type": "bearer", "token": "canary-1"},
        {"type": "header", "name": "X-Api-Key", "value": "canary-1"},
    ],
    ids=["basic", "bearer", "header"],
)
async def test_the_delivery_log_shows_neither_authentication_nor_own_headers_even_said_back(auth):
    encoded = base64.b64encode(b"us3r:canary-1")
    echo = answer("200 OK", b"you said canary-1 and " + encoded, "x-echo: Bearer canary-1", "x-own: canary-2")
    async with receiving(echo) as receiver, dispatching() as dispatcher:
        endpoint = an_endpoint(receiver.url, auth=auth, headers={"X-Own": "canary-2"})
        dispatched = await dispatcher.send(endpoint, a_message(), number=1)
    assert dispatched.request is not None
    assert "x-own" in dispatched.hidden
    shown = detail(dispatched.request, dispatched.result, number=1, explanation="", own=dispatched.hidden)
    assert b"canary" not in shown
    assert encoded not in shown or auth["type"] != "basic"
    headers = msgspec.json.decode(shown)["request"]["headers"]
    assert {name for name, value in headers.items() if value == "(hidden)"} == dispatched.hidden


@pytest.mark.parametrize("password", ['pass"word\\', "p/ass+wörd", "<pass&word>"], ids=["quotes", "slash", "markup"])
@pytest.mark.parametrize(
    "quoted",
    [
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: json.dumps(text).replace("/", "\\/"),
        lambda text: quote(text, safe=""),
        quote_plus,
        html.escape,
    ],
    ids=["json", "json in utf-8", "json of php", "percent", "form", "html"],
)
async def test_a_password_is_hidden_also_where_it_is_said_back_in_another_spelling(password, quoted):
    echo = answer("200 OK", f"you said {quoted(password)}, did you".encode())
    async with receiving(echo) as receiver, dispatching() as dispatcher:
        endpoint = an_endpoint(receiver.url, auth={"type": "basic", "username": "us3r", "password": password})
        dispatched = await dispatcher.send(endpoint, a_message(), number=1)
    assert dispatched.request is not None
    shown = detail(dispatched.request, dispatched.result, number=1, explanation="", own=dispatched.hidden)
    assert "ass" not in msgspec.json.decode(shown)["response"]["body"]


# -- connections


async def test_requests_share_a_connection_until_a_fresh_one_is_asked_for():
    async with receiving(OK) as receiver, dispatching() as dispatcher:
        endpoint = an_endpoint(receiver.url)
        for fresh in (False, False, True):
            await dispatcher.send(endpoint, a_message(), number=1, fresh=fresh)
        assert receiver.connections == 2


async def test_a_forgotten_endpoint_keeps_no_connection():
    async with receiving(OK) as receiver, dispatching() as dispatcher:
        endpoint = an_endpoint(receiver.url)
        await dispatcher.send(endpoint, a_message(), number=1)
        dispatcher.forget(endpoint.account_id, endpoint.endpoint_id)
        await dispatcher.send(endpoint, a_message(), number=1)
        assert receiver.connections == 2


async def test_the_delivery_log_knows_how_a_body_was_made_where_it_is_not_the_event_itself():
    async with receiving(OK) as receiver, dispatching() as dispatcher:
        for settings, expected in (({}, None), ({"format": "batch"}, None), ({"payload": "changes"}, "changes")):
            endpoint = an_endpoint(receiver.url, **settings)
            dispatched = await dispatcher.send(endpoint, a_message(), number=1)
            assert dispatched.request is not None
            shown = detail(dispatched.request, dispatched.result, number=1, explanation="", own=())
            rendering = msgspec.json.decode(shown).get("rendering")
            assert (rendering and rendering["payload"]) == expected
