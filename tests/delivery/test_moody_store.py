"""The real log and the real worker through restarts, pauses and resends, with a moody store and a moody receiver."""

import asyncio
import json
import random
from collections import Counter

import pytest
from sqlalchemy import select

from delivery.offices import ACCOUNT, PATIENCE_S, TAKEN, working
from delivery.receivers import accepting, read_request
from delivery.test_worker_edges import Between
from waypost.errors import Unavailable
from waypost.log import Unit, units
from waypost.log.tables import attempts, pending

LIVES = 3
STEPS = 25
AWAY_RATIO, SLOW_RATIO, ANSWER_LOST_RATIO = 0.03, 0.22, 0.03
DELAY_S_MAX = 0.03


class Moody(Between):
    """A log that is away, slow, or says nothing after the commit."""

    def __init__(self, log, dice):
        super().__init__(log)
        self.dice = dice
        self.calm = False

    def __getattr__(self, name):
        call = getattr(self.log, name)

        async def moody(*args, **options):
            away, slow, lost = (not self.calm and self.dice.random() < ratio
                                for ratio in (AWAY_RATIO, SLOW_RATIO, ANSWER_LOST_RATIO))  # fmt: skip
            if away:
                raise Unavailable("away")
            if slow:
                await asyncio.sleep(self.dice.random() * DELAY_S_MAX)
            answer = await call(*args, **options)
            if slow:
                await asyncio.sleep(self.dice.random() * DELAY_S_MAX)
            if lost:
                raise Unavailable("done, but nobody said so")
            return answer

        return moody


class MoodyReceiver:
    """Refuses at the ratio `refusing`, is slow at times, and remembers what it took."""

    def __init__(self, dice):
        self.dice = dice
        self.refusing = 0.2
        self.took = []  # shipment, sequence, event

    def on(self, receiver):
        async def behave(reader, writer):
            while await read_request(receiver(), reader):
                writer.write(await self._judge(json.loads(receiver().bodies[-1])))
                await writer.drain()

        return behave

    async def _judge(self, event):
        if self.dice.random() < self.refusing:
            status = self.dice.choice(["500 No", "503 Slow", "429 Slow"])
            return f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode()
        if self.dice.random() < 0.1:
            await asyncio.sleep(self.dice.random() * 0.1)
        self.took.append((event["shipment_id"], event["sequence"], event["id"]))
        return TAKEN


class Story:
    """What befell one endpoint, and what was owed to it."""

    def __init__(self, dice, receiver):
        self.dice = dice
        self.receiver = receiver
        self.owed = []
        self.asked = Counter()

    async def go_on(self, office, endpoint_id):
        """Do one thing that users do."""
        match self.dice.choice(["put", "put", "put", "resend", "pause", "mood", "resume"]):
            case "put":
                done = await office.put(f"SO-{self.dice.randrange(4)}", str(self.dice.randrange(1, 10**6)))
                self.owed += [event.id for event in done.events]
            case "resend" if self.owed:
                event_id = self.dice.choice(self.owed)
                await office.log.do(units.resend(ACCOUNT, endpoint_id, event_id))
                self.asked[event_id] += 1
            case "pause":
                await office.log.do(units.pause_endpoint(ACCOUNT, endpoint_id))
            case "resume":
                await office.log.do(units.resume_endpoint(ACCOUNT, endpoint_id))
            case "mood":
                self.receiver.refusing = self.dice.choice([0, 0.2, 0.2, 1])
        await asyncio.sleep(self.dice.choice([0, 0, 0.01, 0.1]))  # things come close together, or not


async def come_to_rest(log, endpoint_id):
    """Resume the endpoint for as long as anything is left for it to do."""
    left = Unit(ACCOUNT, lambda tx: tx.connection.execute(select(pending.c.position)).all())
    async with asyncio.timeout(PATIENCE_S):
        while (await log.waiting(ACCOUNT, endpoint_id)).count or await log.do(left):
            await log.do(units.resume_endpoint(ACCOUNT, endpoint_id))
            await asyncio.sleep(0.05)


@pytest.fixture
def database_url(sqlite_url):
    """One kind is enough here: what the two do is compared elsewhere."""
    return sqlite_url


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_nothing_is_lost_reordered_or_sent_twice_though_all_are_moody(log, seed):
    dice = random.Random(seed)
    moods = MoodyReceiver(dice)
    story, endpoint = Story(dice, moods), None
    async with accepting(moods.on(lambda: receiver)) as receiver:
        for life in range(LIVES):
            store = Moody(log, dice)
            async with working(log, store, lease_every_s=0.2) as office:
                endpoint = endpoint or await office.endpoint(receiver.url, retry_schedule=(0.1, 0.2, 0.3, 0.4, 0.5))
                for _ in range(STEPS):
                    await story.go_on(office, endpoint.endpoint_id)
                if life == LIVES - 1:
                    moods.refusing, store.calm = 0, True
                    await come_to_rest(log, endpoint.endpoint_id)
    verdicts = await verdicts_of(log)
    failed = {event_id for event_id, found in verdicts.items() if "failed" in found}
    assert [event_id for event_id in story.owed if not {"delivered", "failed"} & verdicts[event_id]] == []
    assert out_of_order(moods.took, failed | set(story.asked)) == []
    assert too_often(moods.took, story.asked) == {}


async def verdicts_of(log):
    rows = Unit(ACCOUNT, lambda tx: tx.connection.execute(select(attempts.c.event_id, attempts.c.verdict)).all())
    found = {}
    for event_id, verdict in await log.do(rows):
        found.setdefault(event_id, set()).add(verdict)
    return found


def out_of_order(took, exempt):
    """The shipments whose events first arrived in another order than theirs, but for those `exempt`."""
    first = {}
    for shipment, sequence, event_id in took:
        sequences = first.setdefault(shipment, [])
        if event_id not in exempt and sequence not in sequences:
            sequences.append(sequence)
    return [shipment for shipment, sequences in first.items() if sequences != sorted(sequences)]


def too_often(took, asked):
    """The events taken more often than asked for, where each restart may lose one answer."""
    counts = Counter(event_id for _, _, event_id in took)
    return {event: count for event, count in counts.items() if count > 1 + asked[event] + LIVES - 1}
