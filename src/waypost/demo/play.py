"""The demo itself: the story played on the stage, shown as it happens, and checked in the end."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from waypost.client import ClientError
from waypost.demo.check import Result, check
from waypost.demo.processes import DemoError
from waypost.demo.shop import STOCK
from waypost.demo.stage import Delivery, Stage
from waypost.demo.story import Book, CarrierMessage, ShopComesBack, ShopGoesDown, Step, story
from waypost.demo.view import View

WATCH_EVERY_S = 0.1
DELIVERIES_WATCHED = 100
NOTICE_S_MAX = 10.0  # until the service must have noticed that the shop is down
ARRIVAL_S_MAX = 60.0  # until the shop must have everything, once the story is told
PACE_S = 0.8
BOOKING_PACE_S = 0.3
OUTCOMES = {"delivered": "✓", "retrying": "retrying", "failed": "failed"}


def play_once(stage: Stage, view: View) -> Result:
    """Tell the story at full speed, wait until the shop has everything, and check it."""
    with _watched(stage, view):
        for step in story(datetime.now(UTC)):
            _perform(stage, view, step)
        complete = _wait(lambda: _is_complete(stage), ARRIVAL_S_MAX)
    delivered = [delivery.event_id for delivery in stage.deliveries(state="delivered")]
    result = check(stage.owed(), delivered, stage.shop_record(), STOCK)
    if complete or result.faults:
        return result
    raise DemoError(f"{stage.endpoint().waiting} events still wait, {ARRIVAL_S_MAX:g} s after the story ended.")


def play_for_ever(stage: Stage, view: View) -> None:
    """Tell the story slowly, again and again with new shipments, until Ctrl-C."""
    with _watched(stage, view):
        for round_number in range(1, 10_000):
            for step in story(datetime.now(UTC), round_number):
                _perform(stage, view, step)
                time.sleep(BOOKING_PACE_S if isinstance(step, Book) else PACE_S)


def _perform(stage: Stage, view: View, step: Step) -> None:
    match step:
        case ShopGoesDown(says):
            view.show("shop", says, bad=True)
            stage.shop.kill()
        case ShopComesBack(says):
            if not _wait(lambda: _has_noticed(stage), NOTICE_S_MAX):
                raise DemoError("The shop was down and the service did not notice.")
            stage.start_shop()
            view.show("shop", says, bad=True)
        case CarrierMessage(says=says):
            view.show("in", says)
            stage.player.play(step)
        case _:
            view.show("in", f"{step.reference} {step.says}")
            stage.player.play(step)


def _has_noticed(stage: Stage) -> bool:
    """Whether an attempt was refused while the shop was down."""
    return stage.endpoint().state == "failing" or bool(stage.deliveries(state="retrying", limit=1))


def _is_complete(stage: Stage) -> bool:
    """Whether nothing waits any more and the shop has everything it is owed."""
    return stage.endpoint().waiting == 0 and {event.id for event in stage.owed()} <= stage.arrived()


def _wait(is_so: Callable[[], bool], seconds: float) -> bool:
    """Wait until it is so, at most so long; give whether it is."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(WATCH_EVERY_S / 2)
    return True


@contextmanager
def _watched(stage: Stage, view: View) -> Iterator[None]:
    """Show what goes out and what the shop does, from a thread of its own, up to the last line."""
    watcher = Watcher(stage, view)
    over = threading.Event()

    def watch() -> None:
        while not over.wait(WATCH_EVERY_S):
            watcher.look()

    thread = threading.Thread(target=watch, name="watcher", daemon=True)
    with view.running():
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        watcher.look()


class Watcher:
    """Remembers what it has shown, and shows what is new."""

    def __init__(self, stage: Stage, view: View) -> None:
        """Look at this stage, show in this view."""
        self.stage, self.view = stage, view
        self.seen: dict[str, str] = {}
        self.journal_shown = 0

    def look(self) -> None:
        """Show what is new since the last look. A service that cannot answer is looked at again next time."""
        try:
            deliveries = self.stage.deliveries(limit=DELIVERIES_WATCHED)
            endpoint = self.stage.endpoint()
        except ClientError:
            return
        for delivery in reversed(deliveries):
            self._show_delivery(delivery)
        for line in self.stage.journal(self.journal_shown):
            self.view.show("shop", f"{line.reference} {line.did}")
            self.journal_shown = line.number
        self.view.state(f"endpoint {endpoint.state} · waiting {endpoint.waiting} · effects {self.journal_shown}")

    def _show_delivery(self, delivery: Delivery) -> None:
        if self.seen.get(delivery.event_id) == delivery.state:
            return
        self.seen[delivery.event_id] = delivery.state
        if delivery.state in OUTCOMES:
            text = f"{OUTCOMES[delivery.state]} {delivery.reference} {delivery.type}"
            self.view.show("out", text, bad=delivery.state != "delivered")
