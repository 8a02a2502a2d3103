"""The endpoints of one account, and how its growing log reaches those whom it concerns.

An endpoint that has all it wants *rests*. Ten thousand of them do not look at each new event: it is held once against
each distinct wish of the resting ones, and only those who want it are roused. An endpoint that takes nothing for now
(paused, suspended, failing with its hands full) rests as well, and hears of nothing until something else rouses it.

A resting endpoint's cursor falls behind what has been judged for it. In turn with the others, a few at a time, it is
reminded to store it: an event that nobody wants costs no write for each who does not want it.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import structlog

from waypost.delivery.engine import CURSOR_LAG_MAX, CURSOR_LAG_S_MAX
from waypost.delivery.rows import RowCache
from waypost.delivery.runner import Key, Runner
from waypost.delivery.signals import CursorDue, LogGrew
from waypost.events.filters import Facets, read_facets
from waypost.events.patterns import Matcher, Wants, matcher_of
from waypost.ids import AccountId
from waypost.log.records import LogRow

REMIND_EVERY_S = 0.5
REMINDED_AFTER_S = CURSOR_LAG_S_MAX / 2  # and once round the line takes as long at most, so both keep CURSOR_LAG_S_MAX
REMINDED_MIN = 16  # at a time
ROUNDS = 25  # so many times REMIND_EVERY_S until each has had its turn
A_TURN = 50  # roused, or reminded, in one turn of the event loop
JUDGED_ROWS = 256  # rows judged together

log = structlog.get_logger(__name__)


class AudienceHost(Protocol):
    """What an audience needs of the worker."""

    rows: RowCache

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside; what it raises is logged."""
        ...

    async def read_log(self, account_id: AccountId, after: int, limit: int) -> list[LogRow]:
        """Give the rows after `after`, however long the database takes to come back."""
        ...


class Audience:
    """The endpoints of one account that this worker delivers to."""

    def __init__(self, host: AudienceHost, account_id: AccountId, end: int) -> None:
        """`end` is how far the log goes, as far as is known."""
        self._host = host
        self._account_id = account_id
        self._end = end
        self._runners: dict[Key, Runner] = {}
        self._awake: dict[Key, Runner] = {}
        self._sated: dict[Wants, dict[Key, Runner]] = {}  # resting, by what would rouse them
        self._line: dict[Key, float] = {}  # of these: since when, the longest first
        self._judged_through = 0  # nothing up to here is wanted by a sated one
        self._told = 0  # of the line, how many in a row are known to have stored that
        self._judging = False

    # -- who is there

    def __iter__(self) -> Iterator[Runner]:
        return iter(tuple(self._runners.values()))

    def __len__(self) -> int:
        return len(self._runners)

    @property
    def is_behind(self) -> bool:
        """Whether a resting endpoint may have to be reminded of its cursor."""
        return self._told < len(self._line)

    @property
    def idle(self) -> bool:
        """Whether all that is known of the log has been judged."""
        return not self._sated or self._judged_through >= self._end

    def add(self, runner: Runner) -> None:
        """Let an endpoint take part. It is awake."""
        self._runners[runner.key] = self._awake[runner.key] = runner

    def remove(self, runner: Runner) -> None:
        """Let an endpoint go."""
        self._get_up(runner)
        del self._awake[runner.key], self._runners[runner.key]

    # -- the log grows

    def grew(self, end: int) -> None:
        """Say that the log now ends at `end`."""
        self._end = max(self._end, end)
        for runner in tuple(self._awake.values()):
            runner.give(LogGrew(end))
        self._judge_on()

    def _judge_on(self) -> None:
        if self._sated and self._judged_through < self._end and not self._judging:
            self._judging = True
            self._host.spawn(self._judge())

    async def _judge(self) -> None:
        try:
            while self._sated and self._judged_through < self._end:
                after = self._account_id, self._judged_through, JUDGED_ROWS
                rows = self._host.rows.after(*after) or await self._host.read_log(*after)
                if not rows:  # the log does not hold what it was said to: each engine knows how to wait for it
                    await self._rouse([(wants, self._judged_through) for wants in self._sated])
                    return
                await self._hold_against(rows)
        finally:
            self._judging = False

    async def _hold_against(self, rows: Sequence[LogRow]) -> None:
        asked = [(row, _Facets(row.body)) for row in rows]
        wanted = [(wants, self._first_wanted(matcher_of(wants), asked)) for wants in self._sated]
        self._judged_through = rows[-1].position
        self._told = 0
        await self._rouse([(wants, position - 1) for wants, position in wanted if position is not None])

    def _first_wanted(self, matcher: Matcher, asked: Sequence[tuple[LogRow, "_Facets"]]) -> int | None:
        """The first position that is wanted, if any."""
        for row, facets in asked:
            try:
                if matcher.wants(row.type, facets):
                    return row.position
            except Exception:
                log.exception("event_not_judged", account_id=self._account_id, position=row.position)
                return row.position  # the endpoint's own judgement decides
        return None

    async def _rouse(self, wishes: Collection[tuple[Wants, int]]) -> None:
        """Rouse everybody with these wishes; up to the position beside a wish there is nothing for them."""
        roused = [(runner, through) for wants, through in wishes for runner in self._sated[wants].values()]
        for runner, through in roused:
            self._get_up(runner)
            runner.catch_up(through, self._end)
        for number, (runner, _) in enumerate(roused):
            if number % A_TURN == A_TURN - 1:
                await asyncio.sleep(0)
            runner.go_on()

    # -- resting

    def rest(self, runner: Runner, wants: Wants | None, now_s: float) -> bool:
        """Let an endpoint rest until the log brings what it `wants` (None: nothing there concerns it for now).

        False when it has not seen what has been judged for the others: then it reads on by itself.
        """
        if wants is not None:
            if not self._sated and not self._judging:
                self._judged_through = runner.engine.read_through
            if runner.engine.read_through < self._judged_through:
                return False
            self._sated.setdefault(wants, {})[runner.key] = runner
            self._line[runner.key] = now_s
            self._told = 0
        del self._awake[runner.key]
        self._judge_on()
        return True

    def rouse(self, runner: Runner) -> None:
        """Rouse one endpoint, since something happened to it."""
        through = self._judged_through if runner.key in self._line else 0
        self._get_up(runner)
        runner.catch_up(through, self._end)

    def _get_up(self, runner: Runner) -> None:
        self._awake[runner.key] = runner
        if self._line.pop(runner.key, None) is not None:
            resting = self._sated[runner.wants]  # it is roused before its wishes change
            del resting[runner.key]
            if not resting:
                del self._sated[runner.wants]

    async def remind(self, monotonic: Callable[[], float]) -> None:
        """Let those whose turn it is store how far they are, if that has moved."""
        turn = list(islice(self._line.items(), max(REMINDED_MIN, len(self._line) // ROUNDS)))
        for number, (key, since_s) in enumerate(turn):
            if self._line.get(key) != since_s:
                continue  # something else roused it meanwhile
            if number % A_TURN == A_TURN - 1:
                await asyncio.sleep(0)
            runner, now_s = self._runners[key], monotonic()
            lag = max(self._judged_through, runner.engine.read_through) - runner.engine.cursor_told
            if lag > 0 and lag < CURSOR_LAG_MAX and now_s - since_s < REMINDED_AFTER_S:
                return
            if lag > 0:
                self._told = 0
                runner.give(CursorDue())
            else:
                self._told += 1
                del self._line[key]
                self._line[key] = now_s


class _Facets:
    """The facets of one event, read at most once, however many filters ask."""

    __slots__ = ("_body", "_facets")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._facets: Facets | None = None

    def __call__(self) -> Facets:
        if self._facets is None:
            self._facets = read_facets(self._body)
        return self._facets
