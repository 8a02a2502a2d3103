"""One request: what goes out, and what is said of every way in which it can end."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import closing
from ipaddress import ip_network

import pytest

from delivery.receivers import (
    LOOPBACK_ALLOWED,
    accepting,
    answer,
    close,
    close_one_half,
    hang,
    names,
    post,
    read_request,
    receiving,
    reset,
    silent_listener,
    turns,
    write_then,
)
from waypost.delivery.connector import ANSWER_BYTES_READ_MAX, CONNECTION_AGE_S_MAX, ENDLESS, INTERIM_ANSWERS_MAX
from waypost.delivery.egress import EgressRules
from waypost.delivery.failures import ANSWERED_TOO_EARLY, CHUNKS_WRONG
from waypost.delivery.sender import ANSWER_BYTES_KEPT_MAX, Sender

SHORT_S = 0.2


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    sender = Sender(LOOPBACK_ALLOWED)
    yield sender
    await sender.close()


async def test_the_bytes_and_headers_given_are_the_bytes_and_headers_sent(sender):
    async with receiving(answer()) as receiver:
        await post(sender, receiver.url, '{"n": "Pärnu"}'.encode(), webhook_id="evt_1", user_agent="Waypost/1")
    assert receiver.bodies == ['{"n": "Pärnu"}'.encode()]
    method, *headers = receiver.heads[0].rstrip().split("\r\n")
    assert method == "POST /hook HTTP/1.1"
    sent = {name.lower(): value for name, value in (line.split(": ", 1) for line in headers)}
    assert sent.pop("host") == f"127.0.0.1:{receiver.port}"
    assert sent == {"webhook-id": "evt_1", "user-agent": "Waypost/1", "content-length": "15"}


@pytest.mark.parametrize("status", ["200 OK", "202 Accepted", "204 No Content", "299 Fine"])
async def test_any_2xx_is_success(sender, status):
    async with receiving(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode()) as receiver:
        result = await post(sender, receiver.url)
    assert (result.outcome, result.status) == ("success", int(status[:3]))
    assert result.error_text is None


@pytest.mark.parametrize("status", ["300 X", "301 X", "308 X", "400 X", "410 Gone", "429 X", "500 X", "503 X", "999 X"])
async def test_any_other_status_is_a_failed_attempt_with_its_answer(sender, status):
    async with receiving(answer(status, b"why", "Retry-After: 7", "X-A: 1", "X-A: 2")) as receiver:
        result = await post(sender, receiver.url)
    assert (result.outcome, result.status, result.response_body) == ("status", int(status[:3]), b"why")
    assert result.retry_after == "7"
    assert result.response_headers["x-a"] == "1, 2"


async def test_redirects_are_not_followed(sender):
    async with receiving(answer()) as other, receiving(answer("307 X", b"", f"Location: {other.url}")) as receiver:
        result = await post(sender, receiver.url)
    assert (result.outcome, result.status, other.heads) == ("status", 307, [])


async def test_a_new_connection_is_timed_in_parts_and_a_reused_one_is_not():
    sender = Sender(LOOPBACK_ALLOWED, lookup=names(erp_test=["127.0.0.1"]))
    async with receiving(answer()) as receiver:
        url = f"http://erp.test:{receiver.port}/"
        first = await post(sender, url)
        second = await post(sender, url)
    await sender.close()
    assert receiver.connections == 1
    assert (first.reused_connection, second.reused_connection) == (False, True)
    assert (first.address, second.address) == ("127.0.0.1", "127.0.0.1")
    parts = first.timings_ms
    assert None not in (parts.dns, parts.connect, parts.first_byte, parts.body)
    assert parts.tls is None
    assert parts.dns + parts.connect + parts.first_byte + parts.body <= parts.total + 0.2  # rounding
    assert (second.timings_ms.dns, second.timings_ms.connect, second.timings_ms.tls) == (None, None, None)
    assert second.timings_ms.first_byte is not None


async def test_two_endpoints_never_share_a_connection_to_the_same_host(sender):
    async with receiving(answer()) as receiver:
        await post(sender, receiver.url, pool_key="ep_1")
        await post(sender, receiver.url, pool_key="ep_2")
    assert receiver.connections == 2


async def test_connections_of_an_endpoint_that_is_forgotten_or_long_unused_are_let_go(sender, monkeypatch):
    async with receiving(answer()) as receiver:
        await post(sender, receiver.url)
        sender.forget("ep_1")
        await post(sender, receiver.url)
        monkeypatch.setattr("waypost.delivery.sender.POOL_IDLE_S_MAX", 0.0)
        monkeypatch.setattr("waypost.delivery.sender.SWEEP_INTERVAL_S", 0.0)
        sender._next_sweep_at = 0.0
        await post(sender, receiver.url, pool_key="ep_2")
        await post(sender, receiver.url)
    assert receiver.connections == 4


@pytest.mark.parametrize(
    "headers",
    [{"x_a": "1\r\nx-b: 2"}, {"x_a": "1\nx-b: 2"}, {"x_a\r\nx": "1"}, {"x_a": "\0"}, {"content_length": "1"},
     {"transfer_encoding": "chunked"}, {"Host": "other"}, {"x_a": "ä"}],
)  # fmt: skip
async def test_headers_that_would_make_another_request_of_it_are_not_sent(sender, headers):
    async with receiving(answer()) as receiver:
        result = await post(sender, receiver.url, **headers)
    assert (result.outcome, receiver.connections) == ("refused", 0)


async def test_cookies_of_an_answer_are_not_sent_back(sender):
    async with receiving(answer("200 OK", b"", "Set-Cookie: session=1; Path=/")) as receiver:
        await post(sender, receiver.url)
        await post(sender, receiver.url)
    assert "cookie" not in receiver.heads[1].lower()


async def test_proxies_named_in_the_environment_are_not_used(sender, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9/")
    async with receiving(answer()) as receiver:
        assert (await post(sender, receiver.url)).outcome == "success"


async def test_a_body_over_one_mebibyte_goes_out_whole(sender):
    body = bytes(1_500_000)
    async with receiving(answer()) as receiver:
        assert (await post(sender, receiver.url, body)).outcome == "success"
    assert receiver.bodies == [body]


async def test_a_2xx_from_a_server_that_did_not_take_the_whole_request_is_no_success(sender):
    """What the system's buffers take counts as sent, so the body is larger than they are."""

    async def answer_unread(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer())
        await writer.drain()
        await let_go.wait()

    let_go = asyncio.Event()
    async with accepting(answer_unread, takes_bytes=16_384) as receiver:
        result = await post(sender, receiver.url, bytes(8_000_000))
        let_go.set()
    assert (result.outcome, result.status) == ("bad_answer", 200)
    assert result.error_text == ANSWERED_TOO_EARLY


async def test_a_refusal_of_a_request_that_is_too_large_counts_although_the_server_read_only_its_head(sender):
    async def refuse_unread(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer("413 X"))
        await writer.drain()
        await let_go.wait()

    let_go = asyncio.Event()
    async with accepting(refuse_unread, takes_bytes=16_384) as receiver:
        result = await post(sender, receiver.url, bytes(8_000_000))
        let_go.set()
    assert (result.outcome, result.status) == ("status", 413)


# Deadlines


@pytest.mark.parametrize(
    "beginning",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe", b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["before the answer", "in the headers", "in the body", "after an interim answer"],
)
async def test_an_answer_that_stops_is_a_timeout(sender, beginning):
    async with receiving(write_then(beginning, hang)) as receiver:
        result = await post(sender, receiver.url, timeout_s=SHORT_S)
    assert result.outcome == "timeout"
    assert (result.status is None) == (b"\r\n\r\nhe" not in beginning)
    assert result.timings_ms.total >= SHORT_S * 1000 - 1


async def test_an_answer_that_drips_is_a_timeout_and_what_came_is_kept(sender):
    async def drip(reader, writer):
        while not writer.is_closing():
            writer.write(b".")
            await asyncio.sleep(0.01)  # the pace of the drip; nothing is judged by it

    async with receiving(write_then(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", drip)) as receiver:
        result = await post(sender, receiver.url, timeout_s=SHORT_S)
    assert (result.outcome, result.status) == ("timeout", 200)
    assert set(result.response_body) == {ord(".")}


async def test_headers_without_end_are_a_bad_answer(sender):
    async def endless(reader, writer):
        while not writer.is_closing():
            writer.write(b"x-header: value\r\n")
            await writer.drain()
            await asyncio.sleep(0)

    async with receiving(write_then(b"HTTP/1.1 200 OK\r\n", endless)) as receiver:
        result = await post(sender, receiver.url)
    assert (result.outcome, result.status) == ("bad_answer", None)


async def test_a_name_that_is_not_looked_up_in_time_is_a_timeout():
    async def silent(host: str) -> list[str]:
        await asyncio.Event().wait()
        return []

    sender = Sender(LOOPBACK_ALLOWED, lookup=silent)
    result = await post(sender, "http://erp.test/", timeout_s=SHORT_S)
    await sender.close()
    assert result.outcome == "timeout"
    assert result.timings_ms.dns is not None
    assert result.timings_ms.connect is None


async def test_a_connection_that_is_not_taken_in_time_is_a_timeout(sender):
    with silent_listener("127.0.0.1") as port:
        result = await post(sender, f"http://127.0.0.1:{port}/", timeout_s=SHORT_S)
    assert result.outcome == "timeout"
    assert result.timings_ms.connect is not None


async def test_cancelling_the_caller_is_passed_on_and_closes_the_connection(sender):
    let_go = asyncio.Event()

    async def wait_until_let_go(reader, writer):
        started.set()
        await reader.read()
        let_go.set()

    started = asyncio.Event()
    async with receiving(wait_until_let_go) as receiver:
        task = asyncio.create_task(post(sender, receiver.url))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await let_go.wait()


async def test_closing_the_sender_ends_attempts_as_cancelled_and_takes_no_more(sender):
    started = asyncio.Event()

    async def wait(reader, writer):
        started.set()
        await reader.read()

    async with receiving(wait) as receiver:
        task = asyncio.create_task(post(sender, receiver.url))
        await started.wait()
        await sender.close()
        assert (await task).outcome == "cancelled"
        assert (await post(sender, receiver.url)).outcome == "cancelled"


# What is kept of an answer


async def test_of_a_hundred_megabytes_only_the_first_64_kib_are_read_and_kept(sender):
    written = 0

    async def pour(reader, writer):
        nonlocal written
        try:
            while written < 100_000_000:
                writer.write(bytes(100_000))
                written += 100_000
                await writer.drain()
        except ConnectionError:
            pass

    head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n"
    async with receiving(write_then(head, pour)) as receiver:
        result = await post(sender, receiver.url)
    assert (result.outcome, result.truncated, len(result.response_body)) == ("success", True, ANSWER_BYTES_KEPT_MAX)
    assert written < 50_000_000


async def test_an_answer_of_exactly_64_kib_is_whole_and_its_connection_is_used_again(sender):
    async with receiving(answer("200 OK", bytes(ANSWER_BYTES_KEPT_MAX))) as receiver:
        first = await post(sender, receiver.url)
        second = await post(sender, receiver.url)
    assert (first.truncated, len(first.response_body)) == (False, ANSWER_BYTES_KEPT_MAX)
    assert second.reused_connection


async def test_a_compressed_answer_is_kept_as_it_came(sender):
    bomb = gzip.compress(bytes(20_000_000))
    async with receiving(answer("500 X", bomb, "content-encoding: gzip")) as receiver:
        result = await post(sender, receiver.url)
    assert result.response_body == bomb[:ANSWER_BYTES_KEPT_MAX]


async def test_headers_that_are_not_utf8_are_shown_without_lone_surrogates(sender):
    async with receiving(b"HTTP/1.1 200 OK\r\nserver: caf\xe9\r\ncontent-length: 0\r\n\r\n") as receiver:
        result = await post(sender, receiver.url)
    assert result.response_headers["server"] == "caf?"


async def test_an_answer_without_a_length_ends_with_its_connection(sender):
    async with receiving(write_then(b"HTTP/1.0 200 OK\r\n\r\nall of it", close)) as receiver:
        result = await post(sender, receiver.url)
    assert (result.outcome, result.response_body) == ("success", b"all of it")


async def test_a_half_closed_connection_still_gives_its_answer(sender):
    async with receiving(write_then(answer(), close_one_half)) as receiver:
        assert (await post(sender, receiver.url)).outcome == "success"


# Connections that end


@pytest.mark.parametrize("end", [close, reset, close_one_half])
async def test_a_connection_that_ends_without_an_answer_is_a_reset(sender, end):
    async with receiving(end) as receiver:
        result = await post(sender, receiver.url)
    assert (result.outcome, result.reused_connection, result.stale_connection) == ("reset", False, False)
    assert result.timings_ms.total < 5_000


@pytest.mark.parametrize("end", [close, reset])
async def test_a_reused_connection_that_ends_without_an_answer_is_a_stale_one(sender, end):
    async with receiving(answer(), end, answer()) as receiver:
        await post(sender, receiver.url)
        stale = await post(sender, receiver.url)
        again = await post(sender, receiver.url)
    assert (stale.outcome, stale.reused_connection, stale.stale_connection) == ("reset", True, True)
    assert (again.outcome, again.reused_connection) == ("success", False)


@pytest.mark.parametrize("end", [close, reset])
@pytest.mark.parametrize("beginning", [b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"])
async def test_an_answer_that_breaks_off_is_a_bad_answer_and_never_stale(sender, beginning, end):
    async with receiving(answer(), write_then(beginning, end)) as receiver:
        await post(sender, receiver.url)
        result = await post(sender, receiver.url)
    assert (result.outcome, result.stale_connection) == ("bad_answer", False)


async def test_a_connection_that_was_closed_while_it_rested_is_not_used(sender):
    async with receiving(write_then(answer(), close)) as receiver:
        await post(sender, receiver.url)
        await turns()
        result = await post(sender, receiver.url)
    assert result.outcome == "success"


async def test_what_a_server_says_unasked_on_a_resting_connection_answers_nothing(sender):
    resting = asyncio.Event()

    async def say_more(reader, writer):
        writer.write(answer())
        await resting.wait()
        writer.write(answer("408 Request Timeout", b"too slow"))
        await reader.read()

    async with receiving(say_more, answer()) as receiver:
        await post(sender, receiver.url)
        resting.set()
        await turns()
        result = await post(sender, receiver.url)
    assert (result.outcome, result.reused_connection) == ("success", False)


async def test_an_old_connection_is_not_used_again(sender, monkeypatch):
    monkeypatch.setattr("waypost.delivery.connector.CONNECTION_AGE_S_MAX", 0.0)
    assert CONNECTION_AGE_S_MAX == 60
    async with receiving(answer()) as receiver:
        await post(sender, receiver.url)
        result = await post(sender, receiver.url)
    assert (result.reused_connection, receiver.connections) == (False, 2)


# Answers that are none


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\xff\x00\xff\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_bytes_that_are_not_http_are_a_bad_answer(sender, garbage):
    async with receiving(write_then(garbage, close)) as receiver:
        result = await post(sender, receiver.url)
    assert result.outcome == "bad_answer"
    assert result.error_text.isprintable()


async def test_a_flood_of_interim_answers_is_a_bad_answer(sender):
    flood = b"HTTP/1.1 103 Early Hints\r\n\r\n" * (INTERIM_ANSWERS_MAX + 1)
    async with receiving(write_then(flood, hang)) as receiver:
        result = await post(sender, receiver.url)
    assert result.outcome == "bad_answer"
    assert "interim" in result.error_text


@pytest.mark.parametrize("apart", [False, True], ids=["in one piece", "in two pieces"])
@pytest.mark.parametrize("surplus", [b"more", b"\r\n", answer("500 X"), b"HTTP/1.1 2x0\r\n\r\n"])
async def test_what_follows_a_complete_answer_changes_nothing_of_it(sender, surplus, apart):
    async def say_more(reader, writer):
        await first_is_read.wait()
        writer.write(surplus)
        said.set()
        if await read_request(receiver, reader):
            writer.write(answer("202 X"))

    first_is_read, said = asyncio.Event(), asyncio.Event()
    whole = answer("200 OK", b"ok")
    first = write_then(whole, say_more) if apart else whole + surplus
    async with receiving(first, answer("202 X")) as receiver:
        result = await post(sender, receiver.url)
        first_is_read.set()
        if apart:
            await said.wait()
            await turns()
        following = await post(sender, receiver.url)
    assert (result.status, result.response_body) == (200, b"ok")
    assert following.status == 202


@pytest.mark.parametrize("cut", range(1, 50))
async def test_an_answer_is_read_the_same_wherever_it_is_cut_in_two(sender, cut):
    whole = b"HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokmore"

    async def the_rest(reader, writer):
        await turns()
        writer.write(whole[cut:])
        await reader.read()

    async with receiving(write_then(whole[:cut], the_rest)) as receiver:
        result = await post(sender, receiver.url)
    assert (result.outcome, result.status, result.response_body) == ("success", 200, b"ok")


@pytest.mark.parametrize("apart", [False, True], ids=["in one piece", "in two pieces"])
async def test_chunks_that_are_wrong_end_the_attempt_at_once(sender, apart):
    async def the_rest(reader, writer):
        await turns()
        writer.write(b"zz\r\n")
        await reader.read()

    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    first = write_then(head, the_rest) if apart else head + b"zz\r\n"
    async with receiving(first) as receiver:
        result = await post(sender, receiver.url)
    assert (result.outcome, result.status, result.error_text) == ("bad_answer", 200, CHUNKS_WRONG)


async def test_of_an_answer_that_never_comes_to_its_body_no_more_is_read_than_the_bound(sender):
    written = 0

    async def pour(reader, writer):
        nonlocal written
        while written < 100_000_000:
            writer.write(bytes(b"x" * 65_536))
            written += 65_536
            await writer.drain()

    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;"
    async with receiving(write_then(head, pour)) as receiver:
        result = await post(sender, receiver.url)
    assert (result.outcome, result.error_text) == ("bad_answer", ENDLESS)
    assert written < 50_000_000 + ANSWER_BYTES_READ_MAX


@pytest.mark.parametrize("status", ["000", "099", "600", "999"])
async def test_a_status_that_http_does_not_know_is_the_end_of_the_attempt(sender, status):
    async with receiving(answer(f"{status} X")) as receiver:
        result = await post(sender, receiver.url)
    assert (result.outcome, result.status) == ("status", int(status))


async def test_a_few_interim_answers_are_skipped(sender):
    async with receiving(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 3 + answer()) as receiver:
        assert (await post(sender, receiver.url)).status == 200


async def test_a_change_of_protocol_is_a_failed_attempt_and_its_connection_is_dropped(sender):
    switch = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: chat\r\nconnection: upgrade\r\n\r\n"
    async with receiving(switch, answer()) as receiver:
        result = await post(sender, receiver.url)
        following = await post(sender, receiver.url)
    assert (result.outcome, result.status) == ("status", 101)
    assert not following.reused_connection


# No connection


async def test_a_port_where_nobody_listens_is_refused(sender):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    result = await post(sender, f"http://127.0.0.1:{port}/")
    assert (result.outcome, result.address) == ("refused", "127.0.0.1")


async def test_a_name_without_an_address_is_a_dns_error(sender):
    result = await post(sender, "http://no-such-name.invalid/")
    assert (result.outcome, result.address) == ("dns", None)


@pytest.mark.parametrize("addresses", [["127.0.0.9", "127.0.0.1"], ["::1", "127.0.0.1"], ["127.0.0.1", "127.0.0.9"]])
async def test_one_dead_address_of_two_is_no_failure(addresses):
    sender = Sender(LOOPBACK_ALLOWED, lookup=names(erp_test=addresses))
    async with receiving(answer()) as receiver:
        result = await post(sender, f"http://erp.test:{receiver.port}/")
    await sender.close()
    assert (result.outcome, result.address) == ("success", "127.0.0.1")


async def test_an_address_that_is_silent_holds_nothing_up_when_another_answers():
    sender = Sender(LOOPBACK_ALLOWED, lookup=names(erp_test=["127.0.0.9", "127.0.0.1"]))
    async with receiving(answer()) as receiver:
        with silent_listener("127.0.0.9", receiver.port):
            result = await post(sender, f"http://erp.test:{receiver.port}/")
    await sender.close()
    assert (result.outcome, result.address) == ("success", "127.0.0.1")


async def test_the_name_is_looked_up_anew_for_each_new_connection():
    asked = []

    async def lookup(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    sender = Sender(LOOPBACK_ALLOWED, lookup=lookup)
    async with receiving(write_then(answer("200 OK", b"", "connection: close"), close)) as receiver:
        for _ in range(3):
            await post(sender, f"http://erp.test:{receiver.port}/")
    await sender.close()
    assert asked == ["erp.test"] * 3


async def test_a_machine_without_free_sockets_is_our_trouble_and_not_the_receivers(sender):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with closing(socket.socket()) as highest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest.fileno(), hard))
        try:
            result = await post(sender, "http://127.0.0.1:9/")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert result.outcome == "cancelled"


# Addresses that are not allowed


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://localhost:{port}/"]
)
async def test_a_private_address_is_never_connected_to(url):
    sender = Sender(EgressRules())
    async with receiving(answer()) as receiver:
        result = await post(sender, url.format(port=receiver.port))
    await sender.close()
    assert (result.outcome, receiver.connections) == ("address_not_allowed", 0)
    assert "127.0.0.1" in result.error_text or "7f00:1" in result.error_text or "localhost" in result.error_text


@pytest.mark.parametrize("addresses", [["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["127.0.0.1", "fd00::1"]])
async def test_a_name_with_one_bad_address_is_refused_whole(addresses):
    sender = Sender(LOOPBACK_ALLOWED, lookup=names(erp_test=addresses))
    async with receiving(answer()) as receiver:
        result = await post(sender, f"http://erp.test:{receiver.port}/")
    await sender.close()
    assert (result.outcome, receiver.connections) == ("address_not_allowed", 0)
    assert "a private address" in result.error_text


async def test_a_name_that_turns_bad_is_refused_at_its_next_connection():
    addresses = ["127.0.0.1"]
    sender = Sender(LOOPBACK_ALLOWED, lookup=names(erp_test=addresses))
    async with receiving(answer("200 OK", b"", "connection: close")) as receiver:
        url = f"http://erp.test:{receiver.port}/"
        assert (await post(sender, url)).outcome == "success"
        addresses[:] = ["169.254.169.254"]
        assert (await post(sender, url)).outcome == "address_not_allowed"
    await sender.close()


async def test_rules_that_change_apply_to_the_next_request_although_a_connection_rests(sender):
    async with receiving(answer()) as receiver:
        await post(sender, receiver.url)
        sender.change_rules(EgressRules())
        result = await post(sender, receiver.url)
    assert (result.outcome, len(receiver.heads)) == ("address_not_allowed", 1)


async def test_our_own_socket_is_refused_although_its_network_is_allowed():
    async with receiving(answer()) as receiver:
        rules = EgressRules(allow=LOOPBACK_ALLOWED.allow, own=frozenset({("127.0.0.1", receiver.port)}))
        sender = Sender(rules)
        result = await post(sender, receiver.url)
        await sender.close()
    assert (result.outcome, receiver.connections) == ("address_not_allowed", 0)


async def test_the_database_named_by_its_host_is_refused_by_its_address_too():
    async with receiving(answer()) as receiver:
        own = frozenset({("db.internal", receiver.port)})
        rules = EgressRules(allow=(ip_network("127.0.0.0/8"),), own=own)
        sender = Sender(rules, lookup=names(db_internal=["127.0.0.1"]))
        result = await post(sender, receiver.url)
        await sender.close()
    assert (result.outcome, receiver.connections) == ("address_not_allowed", 0)


async def test_a_url_that_may_not_be_stored_is_not_sent_to_either(sender):
    result = await post(sender, "http://good@127.0.0.1/")
    assert result.outcome == "address_not_allowed"


# TLS


async def test_a_server_with_a_good_certificate_is_reached_and_tls_is_timed(authority, tmp_path):
    sender = Sender(LOOPBACK_ALLOWED, extra_ca_pem=authority.pem, lookup=names(erp_test=["127.0.0.1"]))
    async with receiving(answer(), tls=authority.server(tmp_path, "erp.test")) as receiver:
        first = await post(sender, f"https://erp.test:{receiver.port}/")
        second = await post(sender, f"https://erp.test:{receiver.port}/")
    await sender.close()
    assert (first.outcome, second.outcome, second.reused_connection) == ("success", "success", True)
    assert first.timings_ms.tls is not None
    assert second.timings_ms.tls is None


@pytest.mark.parametrize(
    ("name", "faults", "words"),
    [
        ("other.test", {}, "mismatch"),
        ("erp.test", {"expired": True}, "expired"),
        ("erp.test", {"self_signed": True}, "self-signed"),
    ],
)
async def test_a_certificate_that_is_not_good_is_a_tls_error(authority, tmp_path, name, faults, words):
    sender = Sender(LOOPBACK_ALLOWED, extra_ca_pem=authority.pem, lookup=names(erp_test=["127.0.0.1"]))
    async with receiving(answer(), tls=authority.server(tmp_path, name, **faults)) as receiver:
        result = await post(sender, f"https://erp.test:{receiver.port}/")
    await sender.close()
    assert (result.outcome, receiver.heads) == ("tls", [])
    assert words in result.error_text.lower()


async def test_an_authority_nobody_named_is_not_trusted(authority, tmp_path, sender):
    async with receiving(answer(), tls=authority.server(tmp_path, "127.0.0.1")) as receiver:
        result = await post(sender, f"https://127.0.0.1:{receiver.port}/")
    assert (result.outcome, receiver.heads) == ("tls", [])


async def test_plain_http_at_an_https_address_is_a_tls_error(sender):
    async with accepting(write_then(b"HTTP/1.1 400 Bad Request\r\n\r\n", hang)) as receiver:
        result = await post(sender, receiver.https_url)
    assert result.outcome == "tls"


async def test_a_handshake_that_is_cut_off_is_a_tls_error(sender):
    async with accepting(close) as receiver:
        result = await post(sender, receiver.https_url)
    assert (result.outcome, result.status) == ("tls", None)


async def test_a_handshake_without_an_answer_is_a_timeout(sender):
    async with accepting(hang) as receiver:
        result = await post(sender, receiver.https_url, timeout_s=SHORT_S)
    assert result.outcome == "timeout"
    assert result.timings_ms.tls is not None


def test_certificates_are_verified_with_their_host_names(authority):
    context = Sender(LOOPBACK_ALLOWED, extra_ca_pem=authority.pem)._tls
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
