"""A cruel world with replays: jobs feed rows and take them back, while rows are read slowly and one reading at a time.

What a job takes back may be out at that moment. The log stores its failure as the last one, and no row.
"""

import random
from collections.abc import Iterable
from dataclasses import replace

from delivery.cruel_world import SCHEDULES, SETTLED, CruelWorld, befall, live
from waypost.delivery.signals import Effect, Pending, PendingState, Persist, ResendAsked, Send, Verdict


class ReplayWorld(CruelWorld):
    """A cruel world whose log feeds and cancels replays."""

    def __init__(self, dice: random.Random, schedule: tuple[float, ...]) -> None:
        self.running: set[str] = set()
        self.made = 0
        self.taken_back = 0
        self.settled_lately: dict[int, int] | None = None  # while rows are read: positions and attempts
        self.read_again = False
        super().__init__(dice, schedule)

    def replay(self, positions: Iterable[int]) -> None:
        self.made += 1
        job = f"job_{self.made}"
        self.running.add(job)
        for position in sorted(positions):
            if position not in self.rows and (position <= self.cursor or self.is_settled(position)):
                number = max((number for number, _ in self.attempts.get(position, [])), default=0)
                key, _, name = self.log[position - 1]
                row = Pending(position, key, PendingState.RESEND, self.now, 0, number, type=name, replay_id=job)
                self.rows[position] = row
                self.asked[position] += 1
        self._read_rows()

    def cancel_replays(self) -> None:
        self.running.clear()
        for row in [row for row in self.rows.values() if row.replay_id is not None]:
            del self.rows[row.position]
            self.taken_back += 1
            if row.attempts:
                self._end_with_failure(row.position)
        self._read_rows()

    def _end_with_failure(self, position: int) -> None:
        *before, (number, verdict) = self.attempts[position]
        if verdict is Verdict.RETRYING:
            self.attempts[position] = [*before, (number, Verdict.FAILED)]

    def crash(self) -> None:
        self.settled_lately, self.read_again = None, False
        super().crash()

    def _do(self, effect: Effect) -> None:
        if isinstance(effect, Persist) and self.settled_lately is not None:
            self.settled_lately |= settled_by(effect)
        super()._do(effect)

    def check_request(self, send: Send) -> None:
        if send.replay_id is None or send.replay_id in self.running:  # else its row may be gone, or be another's
            super().check_request(send)

    def _write(self, persist: Persist) -> None:
        """As the log does: what a replay that has ended would try again is tried no more."""
        called_back = {row.position for row in persist.put if row.replay_id is not None} - {
            row.position for row in persist.put if row.replay_id in self.running
        }
        attempts = tuple(
            (position, number, Verdict.FAILED if position in called_back and verdict is Verdict.RETRYING else verdict)
            for position, number, verdict in persist.attempts
        )
        put = tuple(row for row in persist.put if row.position not in called_back)
        super()._write(replace(persist, attempts=attempts, put=put))
        for position, number, _ in attempts:
            if position in called_back and position in self.rows:  # somebody else asks for it, and counts on
                row = self.rows[position]
                self.rows[position] = replace(row, attempts=max(row.attempts, number))
        if called_back:
            self._read_rows()

    def _read_rows(self) -> None:
        """Read the rows, one reading at a time; what comes meanwhile is read by another one."""
        if self.settled_lately is not None:
            self.read_again = True
            return
        self.settled_lately = {}
        for persist in [*(self.storing or []), *self.unstored]:
            self.settled_lately |= settled_by(persist)

        def read() -> None:
            rows, held = tuple(self.rows.values()), self.held()
            self._after(self.dice.choice([0, 0.01, 2]), lambda: tell(rows, held))

        def tell(rows: tuple[Pending, ...], held: dict[int, tuple[int, ...]]) -> None:
            settled, self.settled_lately = self.settled_lately, None
            asked = tuple(row for row in rows if row.attempts >= settled.get(row.position, 0))
            self.give(ResendAsked(asked, held))
            if self.read_again:
                self.read_again = False
                self._read_rows()

        self._after(self.dice.choice([0.001, 0.01, 1]), read)


def settled_by(persist: Persist) -> dict[int, int]:
    """The positions that this settles by an attempt, and the number of that."""
    return {position: number for position, number, verdict in persist.attempts if verdict in SETTLED}


def run_replays(dice: random.Random, steps: int) -> ReplayWorld:
    """Live through `steps` things that happen, replays among them, then come to rest."""
    schedule = dice.choice(SCHEDULES)

    def befall_replays(world: ReplayWorld) -> None:
        what = dice.choice(["replay", "replay", "replay", "cancel", "else", "else", "else", "else"])
        if what == "replay" and world.log:
            many = min(len(world.log), dice.choice([1, 5, 5, 128]))
            world.replay(dice.sample(range(1, len(world.log) + 1), many))
        elif what == "cancel":
            world.cancel_replays()
        else:
            befall(world, dice, schedule)

    return live(ReplayWorld(dice, schedule), steps, befall_replays)
