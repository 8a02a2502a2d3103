"""Alerts by e-mail, handed in at a real mail server, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from log.builders import DEFAULT, a_write, an_endpoint, owned, put
from upkeep.builders import MovedClock, a_log, a_sweep, lived
from upkeep.mail_receiver import MailBox, a_mail_server
from waypost.clock import to_micros
from waypost.events import DeliveryFailedData, EndpointStateData, EventBrief, LastAttempt, endpoint_brief
from waypost.ids import AccountId, EventId
from waypost.log import AccountSettings, Announcement, Database, EndpointRecord, Log, Vault, alerts, units
from waypost.log.tables import alerts as alerts_table
from waypost.mail_server import read_mail_server
from waypost.upkeep.alerting import Alerting, SmtpPost

OPS = "ops@tms.example"


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def log(database: Database, vault: Vault, clock: MovedClock) -> AsyncIterator[Log]:
    async with a_log(database, vault, clock) as log:
        yield log


@pytest.fixture
async def box() -> AsyncIterator[MailBox]:
    async with a_mail_server() as box:
        yield box


@pytest.fixture
def alerting(log: Log, clock: MovedClock, box: MailBox) -> Alerting:
    return alerts_at(log, clock, f"smtp://127.0.0.1:{box.port}?from=waypost@tms.example")


def alerts_at(log: Log, clock: MovedClock, url: str) -> Alerting:
    server = read_mail_server(url)
    return Alerting(log, SmtpPost(server), clock, sender=server.sender, public_url="https://waypost.tms.example")


async def alert(log: Log, address: str | None = OPS, account: AccountId = DEFAULT) -> None:
    await log.do(units.change_account(account, None, AccountSettings(alert_email=address)))


class Happenings:
    """Operational events of one endpoint, as its owner stores them."""

    def __init__(self, log: Log, clock: MovedClock, endpoint: EndpointRecord) -> None:
        self.log = log
        self.clock = clock
        self.endpoint = endpoint
        self.made = 0

    @property
    def brief(self) -> Any:
        settings = self.endpoint.settings
        return endpoint_brief(self.endpoint.endpoint_id, settings.description, settings.url)

    async def state(self, state: str, reason: str | None = None) -> None:
        data = EndpointStateData(
            endpoint=self.brief, state=state, state_reason=reason, state_since=self.clock.now(), last_success_at=None
        )
        await self._happens({"active": "endpoint.resumed"}.get(state, f"endpoint.{state}"), data)

    async def refused(self, reference: str, explanation: str = "The receiver answered 422.") -> None:
        event = EventBrief(
            id=f"evt_{reference}", type="shipment.created", shipment_id="shp_1", reference=reference, sequence=1,
            position=1,
        )  # fmt: skip
        last = LastAttempt(number=10, started_at=self.clock.now(), outcome="status", status=422)
        data = DeliveryFailedData(endpoint=self.brief, event=event, last_attempt=last, explanation=explanation)
        await self._happens("delivery.failed", data)

    async def _happens(self, event_type: str, data: msgspec.Struct) -> None:
        self.made += 1
        raw = msgspec.Raw(msgspec.json.encode(data))
        event_id = EventId(f"{self.endpoint.endpoint_id}-{self.made}")
        told = Announcement(event_id=event_id, type=event_type, occurred_at=self.clock.now(), data=raw)
        assert not await self.log.persist([a_write(self.endpoint, announcements=(told,))])


@pytest.fixture
async def happenings(log: Log, clock: MovedClock) -> Happenings:
    await alert(log)
    return Happenings(log, clock, await owned(log))


async def test_a_failing_endpoint_is_told_with_the_remedy_and_a_link(
    alerting: Alerting, happenings: Happenings, box: MailBox
) -> None:
    await happenings.state("failing", "The connection was refused.")
    await alerting.turn()
    (mail,), (text,) = box.mails, box.texts
    endpoint_id = happenings.endpoint.endpoint_id
    assert (mail["To"], mail["From"]) == (OPS, "Waypost <waypost@tms.example>")
    assert mail["Subject"] == f"An endpoint is failing: {endpoint_id}"
    assert "The connection was refused." in text
    assert "What to do" in text
    assert f"https://waypost.tms.example/v1/endpoints/{endpoint_id}" in text


async def test_nothing_is_told_twice(
    alerting: Alerting, happenings: Happenings, box: MailBox, clock: MovedClock
) -> None:
    await happenings.state("suspended")
    await alerting.turn()
    clock.forward(hours=1)
    await alerting.turn()
    assert len(box.mails) == 1


async def test_a_shipments_event_is_no_alert(alerting: Alerting, log: Log, box: MailBox) -> None:
    await alert(log)
    await put(log)
    await alerting.turn()
    assert box.mails == []


async def test_many_refused_deliveries_become_one_line_for_each_reason(
    alerting: Alerting, happenings: Happenings, box: MailBox
) -> None:
    for number in range(8):
        await happenings.refused(f"SO-{number}")
    await happenings.refused("SO-9", "The receiver answered 400.")
    await alerting.turn()
    (text,) = box.texts
    assert text.count("8 deliveries were refused") == 1
    assert text.count("1 delivery was refused") == 1
    assert "and 3 more" in text
    assert box.subjects[0].endswith("and 1 more")


async def test_only_the_last_state_of_an_endpoint_is_told(
    alerting: Alerting, happenings: Happenings, box: MailBox
) -> None:
    await happenings.state("failing")
    await happenings.state("active")
    await alerting.turn()
    assert box.subjects == [f"An endpoint is back: {happenings.endpoint.endpoint_id}"]


async def test_an_account_gets_one_mail_a_minute_at_most(
    alerting: Alerting, happenings: Happenings, box: MailBox, clock: MovedClock
) -> None:
    await happenings.state("failing")
    await alerting.turn()
    await happenings.state("suspended")
    clock.forward(seconds=59)
    await alerting.turn()
    assert len(box.mails) == 1
    clock.forward(seconds=2)
    await alerting.turn()
    assert len(box.mails) == 2


async def test_what_the_server_turns_away_comes_later_with_what_happened_since(
    alerting: Alerting, happenings: Happenings, box: MailBox, clock: MovedClock
) -> None:
    box.refusing = True
    await happenings.refused("SO-1")
    await alerting.turn()
    box.refusing = False
    await happenings.refused("SO-2")
    clock.forward(seconds=61)
    await alerting.turn()
    (text,) = box.texts
    assert "SO-1" in text
    assert "SO-2" in text


async def test_a_server_that_is_away_is_asked_after_a_pause_that_grows(
    log: Log, happenings: Happenings, clock: MovedClock
) -> None:
    async with a_mail_server() as box:
        away = f"smtp://127.0.0.1:{box.port}?from=waypost@tms.example"
    alerting = alerts_at(log, clock, away)
    await happenings.state("failing")
    pauses_s = []
    for _ in range(3):
        await alerting.turn()
        pauses_s.append((await due_at(log) - to_micros(clock.now())) // 1_000_000)
        clock.forward(hours=2)
    assert pauses_s == [60, 120, 240]


async def due_at(log: Log) -> int:
    def read(connection: Any, _vault: Vault) -> int:
        found = connection.execute(select(alerts_table.c.due_at)).scalar()
        assert isinstance(found, int)
        return found

    return await log.look(read)


async def test_a_mail_that_was_not_noted_as_sent_is_sent_again(
    log: Log, happenings: Happenings, box: MailBox, clock: MovedClock
) -> None:
    """As after a crash between the two: at least once."""
    await happenings.state("failing")
    (due,) = await log.look(lambda connection, _: alerts.read_due(connection, 2**62, 10))
    assert await log.do(alerts.claim(due, 180_000_000))
    alerting = alerts_at(log, clock, f"smtp://127.0.0.1:{box.port}?from=waypost@tms.example")
    await alerting.turn()
    assert box.mails == []
    clock.forward(minutes=4)
    await alerting.turn()
    assert len(box.mails) == 1


class SilentAfter:
    """Hands mail in and never hears that it was taken."""

    def __init__(self, port: int) -> None:
        self._post = SmtpPost(read_mail_server(f"smtp://127.0.0.1:{port}?from=waypost@tms.example"))

    async def send(self, message: EmailMessage) -> None:
        await self._post.send(message)
        raise ConnectionResetError("the answer was lost")


async def test_a_mail_that_is_sent_again_is_the_same_for_who_looks(
    log: Log, happenings: Happenings, box: MailBox, clock: MovedClock
) -> None:
    post = SilentAfter(box.port)
    alerting = Alerting(log, post, clock, sender="waypost@tms.example", public_url="https://waypost.tms.example")
    await happenings.state("failing")
    await alerting.turn()
    clock.forward(minutes=2)
    await alerting.turn()
    first, second = box.mails
    assert first["Message-ID"] == second["Message-ID"]


async def test_a_new_address_does_not_wait_for_what_the_old_one_was_refused(
    log: Log, happenings: Happenings, alerting: Alerting, box: MailBox, clock: MovedClock
) -> None:
    box.refusing = True
    await happenings.state("failing")
    await alerting.turn()
    box.refusing = False
    await alerting.turn()
    assert box.mails == []
    await alert(log, "night@tms.example")
    await alerting.turn()
    assert box.recipients == [["night@tms.example"]]


async def test_one_recipient_who_is_refused_costs_only_that_account(
    log: Log, clock: MovedClock, alerting: Alerting, box: MailBox
) -> None:
    other = AccountId("other")
    await log.do(units.create_account(other, "Other", AccountSettings(alert_email="gone@other.example")))
    await alert(log)
    mine, theirs = await an_endpoint(log), await an_endpoint(log, account=other)
    await log.take_leases("w1", 60, 10)
    box.unknown = {"gone@other.example"}
    await Happenings(log, clock, theirs).state("failing")
    await Happenings(log, clock, mine).state("failing")
    await alerting.turn()
    assert box.recipients == [[OPS]]


async def test_what_comes_of_one_outage_is_told_in_one_mail(
    log: Log, happenings: Happenings, alerting: Alerting, box: MailBox
) -> None:
    for number in range(600):
        await happenings.refused(f"SO-{number}")
    await alerting.turn()
    (subject,) = box.subjects
    assert subject.startswith("600 deliveries were refused")


@asynccontextmanager
async def a_slow_server(*, seconds_a_word: float, goodbye: bool) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A mail server that takes its time for each word; its port, and what it heard."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        finally:
            writer.close()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 slow.example\r\n")
        in_data = False
        while line := await reader.readline():
            heard.append(line)
            in_data = in_data and line != b".\r\n"
            if in_data:
                continue
            await asyncio.sleep(seconds_a_word)
            if line == b"QUIT\r\n" and not goodbye:
                continue
            in_data = line == b"DATA\r\n"
            writer.write(b"354 go on\r\n" if in_data else b"250 yes\r\n")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()
        await server.wait_closed()


def a_mail() -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "waypost@tms.example", OPS, "An endpoint is failing"
    mail.set_content("It is.")
    return mail


async def test_a_server_that_takes_its_time_for_each_word_is_left_after_the_limit_of_all() -> None:
    async with a_slow_server(seconds_a_word=0.15, goodbye=True) as (port, heard):
        post = SmtpPost(read_mail_server(f"smtp://127.0.0.1:{port}?starttls=never"), limit_s=0.25)
        with pytest.raises(TimeoutError):
            await post.send(a_mail())
    assert b"DATA\r\n" not in heard


async def test_a_server_that_says_no_goodbye_has_taken_the_mail_all_the_same() -> None:
    async with a_slow_server(seconds_a_word=0, goodbye=False) as (port, heard):
        post = SmtpPost(read_mail_server(f"smtp://127.0.0.1:{port}?starttls=never"), goodbye_s=0.05)
        await post.send(a_mail())
    assert b"QUIT\r\n" in heard


async def test_of_two_services_one_sends(log: Log, happenings: Happenings, alerting: Alerting, box: MailBox) -> None:
    await happenings.state("failing")
    await asyncio.gather(alerting.turn(), alerting.turn(), alerting.turn())
    assert len(box.mails) == 1


async def test_what_happened_before_there_was_an_address_is_not_told(
    log: Log, clock: MovedClock, alerting: Alerting, box: MailBox
) -> None:
    happenings = Happenings(log, clock, await owned(log))
    await happenings.state("failing")
    await alert(log)
    await alerting.turn()
    assert box.mails == []
    await happenings.state("suspended")
    await alerting.turn()
    assert len(box.mails) == 1


async def test_a_new_address_gets_what_the_old_one_was_not_told(
    log: Log, happenings: Happenings, alerting: Alerting, box: MailBox
) -> None:
    await happenings.state("failing")
    await alert(log, "night@tms.example")
    await alerting.turn()
    assert box.recipients == [["night@tms.example"]]


async def test_without_an_address_nothing_is_sent(
    log: Log, happenings: Happenings, alerting: Alerting, box: MailBox
) -> None:
    await happenings.state("failing")
    await alert(log, None)
    await alerting.turn()
    assert box.mails == []


async def test_accounts_are_told_of_their_own_alone(
    log: Log, clock: MovedClock, alerting: Alerting, box: MailBox
) -> None:
    other = AccountId("other")
    await log.do(units.create_account(other, "Other", AccountSettings(alert_email="ops@other.example")))
    await alert(log)
    mine, theirs = await an_endpoint(log), await an_endpoint(log, account=other)
    await log.take_leases("w1", 60, 10)
    await Happenings(log, clock, mine).state("failing")
    await Happenings(log, clock, theirs).state("suspended")
    await alerting.turn()
    told = {recipients[0]: subject for recipients, subject in zip(box.recipients, box.subjects, strict=True)}
    assert told == {
        OPS: f"An endpoint is failing: {mine.endpoint_id}",
        "ops@other.example": f"An endpoint is suspended: {theirs.endpoint_id}",
    }


async def test_nothing_from_outside_gets_into_the_headers(
    log: Log, clock: MovedClock, alerting: Alerting, box: MailBox
) -> None:
    await log.do(units.change_account(DEFAULT, "Evil\r\nBcc: x@evil.example", AccountSettings(alert_email=OPS)))
    endpoint = await owned(log)
    evil = msgspec.structs.replace(endpoint.settings, description="a\r\nBcc: x@evil.example\r\n\r\n<b>hi</b>")
    happenings = Happenings(log, clock, replace(endpoint, settings=evil))
    await happenings.refused("SO-1\r\nBcc: x@evil.example", "no\r\n.\r\nMAIL FROM:<x@evil.example>")
    await alerting.turn()
    (mail,) = box.mails
    assert mail["Bcc"] is None
    assert box.recipients == [[OPS]]
    assert "<b>hi</b>" in box.texts[0]
    assert mail.get_content_type() == "text/plain"


async def test_an_address_that_is_none_never_gets_into_a_header(
    log: Log, happenings: Happenings, alerting: Alerting, box: MailBox
) -> None:
    await alert(log, "a@b.example\r\nBcc: x@evil.example")
    await happenings.state("failing")
    await alerting.turn()
    assert box.mails == []


async def test_the_account_is_warned_of_owed_events_and_told_what_was_given_up(
    log: Log, clock: MovedClock, alerting: Alerting, box: MailBox
) -> None:
    clock.days_ago(84)
    await alert(log)
    endpoint = await owned(log)
    await put(log)
    clock.days_ago(0)
    for _ in range(2):
        await a_sweep(log, clock).turn()
        await alerting.turn()
    await lived(log, clock, days=5.5)
    await alerting.turn()
    await lived(log, clock, days=2)
    await alerting.turn()
    soon, given_up = (
        f"Events for {endpoint.endpoint_id} are given up soon",
        f"2 events were given up for {endpoint.endpoint_id}",
    )
    assert box.subjects == [soon, soon, given_up]


async def test_the_password_is_sent_to_a_server_that_asks_for_it(
    log: Log, happenings: Happenings, clock: MovedClock
) -> None:
    async with a_mail_server(auth_require_tls=False) as box:
        url = f"smtp://waypost%40tms.example:secret%2F1@127.0.0.1:{box.port}?starttls=never"
        await happenings.state("failing")
        await alerts_at(log, clock, url).turn()
    assert box.logins == [("waypost@tms.example", "secret/1")]
    assert box.mails[0]["From"] == "Waypost <waypost@tms.example>"


async def test_no_password_is_sent_in_clear_text_unless_told_so(
    log: Log, happenings: Happenings, clock: MovedClock
) -> None:
    async with a_mail_server(auth_require_tls=False) as box:
        await happenings.state("failing")
        await alerts_at(log, clock, f"smtp://waypost%40tms.example:secret@127.0.0.1:{box.port}").turn()
    assert (box.logins, box.mails) == ([], [])
