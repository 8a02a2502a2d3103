"""Receivers: what stands at the other end of each URL, and its moods.

A receiver has a mood for each slot of the run, drawn for it alone; between moods it is good. Each keeps what it took,
so that the story can tell what a request did.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from waypost.simulator.faults import HARMS, SLOTS, Of
from waypost.simulator.history import Name
from waypost.simulator.watching import body_hash

if TYPE_CHECKING:
    from waypost.simulator.world import World

How = Literal["answers", "hangs", "drips", "twice"]

GOOD_S = (0.005, 0.2)
RETRY_AFTERS = (None, "1", "5", "30", "120")
STRANGE_RETRY_AFTERS = (
    "7200", "0", "-1", "99999999999999999999", "1e9", "soon", "Wed, 02 Dec 2026 10:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
)  # fmt: skip
STRANGE_RATIO = 0.15
REFUSED_EVENTS = 0.12  # of the events, by one that refuses a few for ever
LARGE_BYTES = 6_000
FLAP_S = 240.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a receiver does about a request that has arrived. `reachable` False: there is nobody to connect to."""

    status: int = 200
    after_s: float = 0.0
    how: How = "answers"
    headers: Mapping[str, str] = field(default_factory=dict)
    reachable: bool = True


AWAY = Reply(reachable=False)


class Receivers:
    """All receivers of a world, by URL."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._by_url: dict[str, Receiver] = {}

    def at(self, url: str, name: Name) -> "Receiver":
        """Give the receiver at a URL."""
        found = self._by_url.get(url)
        if found is None:
            found = self._by_url[url] = Receiver(self._world, url)
        if name not in found.serves:
            found.serves.append(name)
        return found


class Receiver:
    """One receiver."""

    def __init__(self, world: "World", url: str) -> None:
        self.serves: list[Name] = []  # the endpoints that come here
        self._world = world
        self._dice = world.dice(f"receiver/{url}")
        self._salt = url.encode()
        self._moods = [self._draw_mood() for _ in range(SLOTS)]
        self._told: set[tuple[int, str]] = set()

    def _draw_mood(self) -> str:
        """Draw the mood of a slot: one harm, or none."""
        for name in _MOODS:
            if self._dice.random() < self._world.config.harms.get(name, 0.0):
                return name
        return ""

    def mood(self) -> str:
        """Give its mood now: the name of a harm, or nothing."""
        slot = self._world.slot
        if not self._world.harmful or slot >= SLOTS:
            return ""
        mood = self._moods[slot]
        if mood and (slot, mood) not in self._told:
            self._told.add((slot, mood))
            until_s = (slot + 1) * self._world.slot_s
            self._world.harm(mood, until_s=until_s, touches=self.serves)
        return mood

    def is_away(self) -> bool:
        """Whether nobody answers at its address."""
        mood = self.mood()
        if mood == "receiver_flaps":
            return int(self._world.loop.time() / FLAP_S) % 2 == 0
        return mood == "receiver_away"

    def take(self, body: bytes, event_ids: tuple[str, ...]) -> Reply:
        """Take a request that has arrived whole, and say how it is answered."""
        dice = self._dice
        after_s = dice.uniform(*GOOD_S)
        match self.mood():
            case "receiver_slow":
                return Reply(after_s=dice.choice([1.0, 5.0, 14.0]))
            case "receiver_hangs":
                return Reply(how="hangs") if dice.random() < 0.7 else Reply(after_s=after_s)
            case "receiver_drips":
                return Reply(how="drips", after_s=after_s) if dice.random() < 0.7 else Reply(after_s=after_s)
            case "receiver_errs" | "receiver_fails_after_work":
                return Reply(dice.choice([500, 500, 400, 404, 501]) if dice.random() < 0.5 else 200, after_s)
            case "receiver_busy" if dice.random() < 0.6:
                return self._busy(after_s)
            case "receiver_gone" if dice.random() < 0.5:
                return Reply(410, after_s)
            case "receiver_redirects" if dice.random() < 0.8:
                return Reply(dice.choice([301, 302, 307]), after_s, headers={"location": "http://127.0.0.1/"})
            case "receiver_answers_twice":
                return Reply(200, after_s, how="twice")
            case "receiver_refuses_some" if any(map(self._refuses, event_ids)):
                return Reply(422, after_s)
            case "receiver_takes_less" if len(body) > LARGE_BYTES:
                return Reply(413, after_s)
        return Reply(200 if dice.random() < 0.9 else 204, after_s)

    def _busy(self, after_s: float) -> Reply:
        strange = self._dice.random() < STRANGE_RATIO
        retry_after = self._dice.choice(STRANGE_RETRY_AFTERS if strange else RETRY_AFTERS)
        headers = {} if retry_after is None else {"retry-after": retry_after}
        return Reply(self._dice.choice([429, 502, 503, 503, 504]), after_s, headers=headers)

    def _refuses(self, event_id: str) -> bool:
        """Say whether it refuses an event; it never changes its mind."""
        return int(body_hash(self._salt + event_id.encode())[:4], 16) < REFUSED_EVENTS * 0x10000


_MOODS = tuple(name for name, harm in HARMS.items() if harm.of is Of.RECEIVER_SLOT)
