"""Access tokens for receivers, from a token endpoint on loopback."""

import asyncio
from typing import Any

import pytest

from delivery.dispatching import (
    OK,
    Held,
    StoppedClock,
    TokenEndpoint,
    a_message,
    a_token,
    an_endpoint,
    asked,
    dispatching,
    giving_tokens,
    headers_of,
)
from delivery.receivers import Receiver, answer, close, hang, receiving, reset, silent_listener
from waypost.delivery.dispatch import Dispatched, Dispatcher
from waypost.delivery.egress import EgressRules, read_networks
from waypost.delivery.explain import explain
from waypost.delivery.oauth import Grant, Token

UNAUTHORIZED = answer("401 Unauthorized")


def auth(tokens: TokenEndpoint, **fields: str) -> dict[str, str]:
    given = {"token_url": tokens.url, "client_id": "waypost", "client_secret": "canary-secret"} | fields
    return {"type": "oauth2_client_credentials"} | given


async def send(
    dispatcher: Dispatcher, receiver: Receiver, auth: dict[str, str], *, endpoint_id: str = "ep_1", **settings: Any
) -> Dispatched:
    endpoint = an_endpoint(receiver.url, endpoint_id=endpoint_id, auth=auth, **settings)
    return await dispatcher.send(endpoint, a_message(), number=1)


def shown(receiver: Receiver) -> list[str]:
    return [headers_of(receiver, request)["authorization"] for request in range(len(receiver.heads))]


async def test_a_token_is_fetched_once_and_shown_in_every_request():
    async with receiving(OK) as receiver, giving_tokens(a_token()) as tokens, dispatching() as dispatcher:
        for _ in range(3):
            assert (await send(dispatcher, receiver, auth(tokens))).result.outcome == "success"
    assert shown(receiver) == ["Bearer token-1"] * 3
    assert len(tokens.receiver.heads) == 1


async def test_the_token_endpoint_is_asked_as_rfc_6749_says():
    async with receiving(OK) as receiver, giving_tokens(a_token()) as tokens, dispatching() as dispatcher:
        await send(dispatcher, receiver, auth(tokens, client_id="a:b c", client_secret="é&/", scope="events write"))
    assert asked(tokens) == {
        "grant_type": "client_credentials",
        "scope": "events write",
        "basic_id": "a:b c",
        "basic_secret": "é&/",
    }
    assert headers_of(tokens.receiver)["content-type"] == "application/x-www-form-urlencoded"


async def test_a_token_endpoint_that_wants_the_secret_in_the_body_gets_it_there_from_then_on():
    clock = StoppedClock()
    refusal = answer("401 Unauthorized", b'{"error": "invalid_client"}')
    async with (
        receiving(OK) as receiver,
        giving_tokens(refusal, a_token()) as tokens,
        dispatching(clock=clock) as dispatcher,
    ):
        await send(dispatcher, receiver, auth(tokens))
        assert (asked(tokens)["client_id"], asked(tokens)["client_secret"]) == ("waypost", "canary-secret")
        clock.seconds += 4000
        await send(dispatcher, receiver, auth(tokens))
    assert len(tokens.receiver.heads) == 3
    assert asked(tokens)["client_secret"] == "canary-secret"


async def test_requests_at_the_same_moment_wait_for_one_token():
    held = Held(a_token())
    async with receiving(OK) as receiver, giving_tokens(held) as tokens, dispatching() as dispatcher:
        sends = [asyncio.ensure_future(send(dispatcher, receiver, auth(tokens))) for _ in range(8)]
        await held.came.wait()
        held.go.set()
        dispatched = await asyncio.gather(*sends)
    assert [one.result.outcome for one in dispatched] == ["success"] * 8
    assert len(tokens.receiver.heads) == 1


async def test_a_request_that_is_given_up_takes_the_token_from_nobody_else():
    held = Held(a_token())
    async with receiving(OK) as receiver, giving_tokens(held) as tokens, dispatching() as dispatcher:
        given_up, other = (asyncio.ensure_future(send(dispatcher, receiver, auth(tokens))) for _ in range(2))
        await held.came.wait()
        given_up.cancel()
        held.go.set()
        assert (await other).result.outcome == "success"
        await asyncio.wait([given_up])
        assert given_up.cancelled()


@pytest.mark.parametrize(
    ("given", "kept_s"),
    [
        ({"expires_in": 3600}, 3570),
        ({"expires_in": "3600"}, 3570),
        ({"expires_in": 100}, 90),
        ({"expires_in": None}, 570),
        ({"expires_in": "soon"}, 570),
        ({"expires_in": True}, 570),
        ({"expires_in": []}, 570),
        ({"expires_in": "nan"}, 570),
        ({"expires_in": 1e99}, 86_370),
        ({"expires_in": 3600, "token_type": None}, 3570),
    ],
    ids=[
        "an hour",
        "an hour as text",
        "short",
        "not said",
        "not a number",
        "true",
        "a list",
        "nan",
        "for ever",
        "no token type",
    ],
)
async def test_a_token_is_kept_until_shortly_before_it_expires(given, kept_s):
    clock = StoppedClock()
    answers = a_token("first", **given), a_token("second")
    async with receiving(OK) as receiver, giving_tokens(*answers) as tokens, dispatching(clock=clock) as dispatcher:
        await send(dispatcher, receiver, auth(tokens))
        clock.seconds += kept_s - 1
        await send(dispatcher, receiver, auth(tokens))
        clock.seconds += 1
        await send(dispatcher, receiver, auth(tokens))
    assert shown(receiver) == ["Bearer first", "Bearer first", "Bearer second"]


async def test_a_token_that_the_receiver_refuses_is_fetched_anew_and_the_request_sent_again_at_once():
    answers = a_token("first"), a_token("second")
    async with (
        receiving(OK, UNAUTHORIZED, OK) as receiver,
        giving_tokens(*answers) as tokens,
        dispatching() as dispatcher,
    ):
        await send(dispatcher, receiver, auth(tokens))
        dispatched = await send(dispatcher, receiver, auth(tokens))
    assert dispatched.result.outcome == "success"
    assert shown(receiver) == ["Bearer first", "Bearer first", "Bearer second"]
    assert headers_of(receiver, 1)["webhook-id"] == headers_of(receiver, 2)["webhook-id"]


async def test_a_receiver_that_refuses_every_token_is_asked_twice_and_no_more():
    answers = a_token("first"), a_token("second")
    async with receiving(UNAUTHORIZED) as receiver, giving_tokens(*answers) as tokens, dispatching() as dispatcher:
        dispatched = await send(dispatcher, receiver, auth(tokens))
    assert (dispatched.result.outcome, dispatched.result.status) == ("status", 401)
    assert shown(receiver) == ["Bearer first", "Bearer second"]
    assert len(tokens.receiver.heads) == 2


async def test_a_request_that_is_refused_late_goes_out_again_with_the_next_attempt():
    clock = StoppedClock()

    async def refuse_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clock.seconds += 31
        writer.write(UNAUTHORIZED)

    async with (
        receiving(refuse_late, OK) as receiver,
        giving_tokens(a_token("old"), a_token("new")) as tokens,
        dispatching(clock=clock) as dispatcher,
    ):
        late = await send(dispatcher, receiver, auth(tokens), timeout_seconds=30)
        assert (late.result.outcome, late.result.status) == ("status", 401)
        assert "We try again with another one." in explain(late.result, 30)
        assert shown(receiver) == ["Bearer old"]
        again = await send(dispatcher, receiver, auth(tokens), timeout_seconds=30)
    assert again.result.outcome == "success"
    assert shown(receiver) == ["Bearer old", "Bearer new"]


async def test_requests_that_are_refused_together_fetch_one_new_token():
    answers = a_token("first"), a_token("second"), a_token("third")
    refusing = [OK, UNAUTHORIZED, UNAUTHORIZED, UNAUTHORIZED, OK]
    async with receiving(*refusing) as receiver, giving_tokens(*answers) as tokens, dispatching() as dispatcher:
        await send(dispatcher, receiver, auth(tokens))
        dispatched = await asyncio.gather(*(send(dispatcher, receiver, auth(tokens)) for _ in range(3)))
    assert [one.result.outcome for one in dispatched] == ["success"] * 3
    assert len(tokens.receiver.heads) == 2


async def test_a_refused_token_that_cannot_be_fetched_anew_says_both():
    refusal = answer("503 Service Unavailable")
    async with receiving(UNAUTHORIZED) as receiver, giving_tokens(a_token(), refusal) as tokens, dispatching() as away:
        dispatched = await send(away, receiver, auth(tokens))
    assert (dispatched.result.outcome, dispatched.result.status) == ("status", 401)
    sentence = explain(dispatched.result, 15)
    assert sentence.startswith("Your server answered 401 to our access token. The token endpoint http://127.0.0.1:")
    assert "answered 503" in sentence


async def test_another_endpoint_has_a_token_of_its_own():
    answers = a_token("first"), a_token("second")
    async with receiving(OK) as receiver, giving_tokens(*answers) as tokens, dispatching() as dispatcher:
        await send(dispatcher, receiver, auth(tokens), endpoint_id="ep_1")
        await send(dispatcher, receiver, auth(tokens), endpoint_id="ep_2")
    assert shown(receiver) == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("change", ["another secret", "forgotten"])
async def test_a_token_is_not_used_beyond_what_it_was_asked_with(change):
    answers = a_token("first"), a_token("second")
    async with receiving(OK) as receiver, giving_tokens(*answers) as tokens, dispatching() as dispatcher:
        await send(dispatcher, receiver, auth(tokens))
        if change == "forgotten":
            endpoint = an_endpoint(receiver.url)
            dispatcher.forget(endpoint.account_id, endpoint.endpoint_id)
        fields = {"client_secret": "other"} if change == "another secret" else {}
        await send(dispatcher, receiver, auth(tokens, **fields))
    assert shown(receiver) == ["Bearer first", "Bearer second"]


# -- a token endpoint in trouble


@pytest.mark.parametrize(
    ("answers", "outcome", "words"),
    [
        ([answer("400 Bad Request", b'{"error": "invalid_scope"}')], "bad_answer", "answered 400 (invalid_scope)"),
        ([answer("401 Unauthorized", b"<html>")], "bad_answer", "answered 401: it gives us no token"),
        ([answer("401 Unauthorized", b'{"error": "\\u001b[31m"}')], "bad_answer", "answered 401: it gives us no token"),
        ([answer("410 Gone")], "bad_answer", "answered 410"),
        ([answer("429 Too Many Requests", b"", "retry-after: 60")], "bad_answer", "answered 429"),
        ([answer("302 Found", b"", "location: http://127.0.0.1:1/")], "bad_answer", "sends us elsewhere"),
        ([answer("200 OK", b"hello")], "bad_answer", "answered 200, but not with a token"),
        ([answer("200 OK", b"[" * 100_000)], "bad_answer", "answered 200, but not with a token"),
        ([answer("200 OK", b'{"access_token": 7}')], "bad_answer", "answered 200, but not with a token"),
        ([answer("200 OK", b"{}")], "bad_answer", "without an access token"),
        ([a_token("two words")], "bad_answer", "without an access token"),
        ([a_token("a\r\nx: y")], "bad_answer", "without an access token"),
        ([a_token(token_type="mac")], "bad_answer", "no bearer token"),
        ([close], "reset", "closed the connection without an answer"),
        ([reset], "reset", "closed the connection without an answer"),
        ([answer("200 OK").replace(b"HTTP", b"JUNK")], "bad_answer", "not HTTP"),
    ],
)  # fmt: skip
async def test_a_token_endpoint_in_trouble_is_a_failed_attempt_that_names_it(answers, outcome, words):
    async with receiving(OK) as receiver, giving_tokens(*answers) as tokens, dispatching() as dispatcher:
        given = auth(tokens, token_url=f"{tokens.url}?key=canary-query")
        dispatched = await send(dispatcher, receiver, given)
    sentence = explain(dispatched.result, 15)
    assert dispatched.result.outcome == outcome
    assert dispatched.result.status is None
    assert f"The token endpoint {tokens.url} " in sentence
    assert words in sentence
    assert "canary" not in f"{sentence} {dispatched.result}"
    assert receiver.heads == []


async def test_a_token_endpoint_that_hangs_ends_with_the_timeout():
    async with receiving(OK) as receiver, giving_tokens(hang) as tokens, dispatching() as dispatcher:
        dispatched = await send(dispatcher, receiver, auth(tokens), timeout_seconds=0.05)
    assert dispatched.result.outcome == "timeout"
    assert "gave no complete answer in time" in explain(dispatched.result, 0.05)


async def test_asking_for_a_token_twice_takes_no_longer_than_the_timeout():
    clock = StoppedClock()

    async def refuse_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clock.seconds += 29.8
        writer.write(answer("401 Unauthorized", b"", "connection: close"))

    async with (
        receiving(OK) as receiver,
        giving_tokens(refuse_late, hang) as tokens,
        dispatching(clock=clock) as dispatcher,
        asyncio.timeout(20),
    ):
        dispatched = await send(dispatcher, receiver, auth(tokens), timeout_seconds=30)
    assert "answered 401: it gives us no token" in explain(dispatched.result, 30)
    assert len(tokens.receiver.heads) == 2


async def test_a_token_endpoint_that_is_too_late_is_not_asked_another_way():
    clock = StoppedClock()

    async def refuse_too_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clock.seconds += 31
        writer.write(answer("401 Unauthorized"))

    async with (
        receiving(OK) as receiver,
        giving_tokens(refuse_too_late) as tokens,
        dispatching(clock=clock) as dispatcher,
    ):
        await send(dispatcher, receiver, auth(tokens), timeout_seconds=30)
    assert len(tokens.receiver.heads) == 1


async def test_a_token_endpoint_that_takes_no_connections_is_refused():
    async with receiving(OK) as receiver, giving_tokens(OK) as tokens, dispatching() as dispatcher:
        with silent_listener("127.0.0.1") as port:
            pass
        dispatched = await send(dispatcher, receiver, auth(tokens, token_url=f"http://127.0.0.1:{port}/token"))
    assert dispatched.result.outcome == "refused"
    assert "takes no connections" in explain(dispatched.result, 15)


async def test_a_token_endpoint_at_a_private_address_is_not_reached():
    rules = EgressRules(allow=read_networks("127.0.0.1/32"))
    async with receiving(OK) as receiver, giving_tokens(a_token()) as tokens, dispatching(rules) as dispatcher:
        given = auth(tokens, token_url="http://127.0.0.2/token")
        dispatched = await send(dispatcher, receiver, given)
    assert dispatched.result.outcome == "address_not_allowed"
    assert "The token endpoint http://127.0.0.2/token may not be reached." in explain(dispatched.result, 15)
    assert receiver.heads == tokens.receiver.heads == []


async def test_trouble_is_not_kept_the_next_request_asks_again():
    answers = answer("500 Internal Server Error"), a_token()
    async with receiving(OK) as receiver, giving_tokens(*answers) as tokens, dispatching() as dispatcher:
        assert (await send(dispatcher, receiver, auth(tokens))).result.outcome == "bad_answer"
        assert (await send(dispatcher, receiver, auth(tokens))).result.outcome == "success"


async def test_closing_while_a_token_is_fetched_cancels_the_attempt():
    held = Held(a_token())
    async with receiving(OK) as receiver, giving_tokens(held) as tokens, dispatching() as dispatcher:
        attempt = asyncio.ensure_future(send(dispatcher, receiver, auth(tokens)))
        await held.came.wait()
        await dispatcher.close()
        assert (await attempt).result.outcome == "cancelled"


def test_secrets_do_not_show_in_the_text_of_what_is_kept():
    assert "canary" not in repr([Grant("https://login.example", "id", "canary"), Token("canary", 1.0)])
