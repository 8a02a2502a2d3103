"""A service that is killed while it replays, removes what is old, or brings its database to another version."""

import json
import shutil
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pysqlite3.dbapi2 as sqlite3
import pytest

from crash.conftest import restart
from crash.points import A_REPLAY, AFTER_COMMIT, BEFORE_COMMIT, IN_MIGRATION, RETENTION, arm, set_clock
from crash.promises import Acknowledged, check_all, check_arrivals, put, wait_until_settled
from service_process import Receiver, Service, wait_for
from waypost.log.migration import MIGRATIONS, newest_revision

pytestmark = pytest.mark.xdist_group("crash in jobs")

SHIPMENTS = 80  # their 160 events are more than a replay keeps in play, and more than a step of retention removes
IN_FLIGHT_MAX = 16
PATCHES = ["crash.points:install"]


def put_many(service: Service, acknowledged: Acknowledged, name: str) -> None:
    body = "\n".join(json.dumps({"reference": f"{name} {number}"}) for number in range(SHIPMENTS)).encode()
    headers = {"content-type": "application/x-ndjson"}
    status, answer = service.call("POST", "/v1/bulk/shipments", body, headers=headers)
    assert status == 200, answer
    for line in answer.splitlines():
        acknowledged.add(json.loads(line))


@pytest.mark.parametrize("point", [f"{BEFORE_COMMIT} {A_REPLAY}", f"{AFTER_COMMIT} {A_REPLAY}"])
def test_a_replay_goes_on_after_a_crash_and_leaves_nothing_out(
    service: Service, receiver: Receiver, endpoint: str, acknowledged: Acknowledged, point: str, folder: Path
) -> None:
    put_many(service, acknowledged, point)
    wait_until_settled(service, endpoint)
    elsewhere = Receiver(folder / f"{point}.jsonl", delay_ms=30).start()  # so that not all is fed at once
    try:
        status, job = service.call("POST", f"{endpoint}/replay", {"which": "all", "to_url": elsewhere.url})
        assert status == 202
        arm(service.folder, point)
        restart(service)
        path = f"{endpoint}/replays/{job['id']}"
        wait_for(lambda: service.call("GET", path)[1]["state"] != "running", "the replay to end")
        ended = service.call("GET", path)[1]
        assert (ended["state"], ended["done"]) == ("done", job["matched"])
        check_arrivals(list(service.log()), elsewhere.arrivals(), repeats_max=IN_FLIGHT_MAX)
    finally:
        elsewhere.stop()
    # The endpoint's own deliveries know nothing of it.
    check_all(service, receiver, acknowledged)


def test_retention_goes_on_after_crashes_and_removes_nothing_that_is_owed(tmp_path: Path) -> None:
    """Forty days ago: events that were delivered, then ones that a paused endpoint is owed. Today they are old."""
    receiver = Receiver(tmp_path / "arrivals.jsonl").start()
    service = Service(tmp_path, patches=PATCHES)
    set_clock(tmp_path, timedelta(days=-40))
    try:
        service.start()
        acknowledged = Acknowledged()
        path = add_endpoint(service, receiver)
        put_many(service, acknowledged, "delivered")
        wait_until_settled(service, path)
        assert service.call("POST", f"{path}/pause")[0] == 200
        put_many(service, acknowledged, "held")
        service.stop()
        forget_the_clock(tmp_path / "waypost.db")
        set_clock(tmp_path, timedelta())
        for point in (f"{BEFORE_COMMIT} {RETENTION}", f"{AFTER_COMMIT} {RETENTION}"):
            arm(tmp_path, point)
            start_and_die(service)  # it sweeps as soon as it runs
        restart(service)
        held = 2 * SHIPMENTS
        wait_for(lambda: len(list(service.log())) == held, "what is old and owed to nobody to leave")
        assert [event["position"] for event in service.log()] == list(range(held + 1, 2 * held + 1))
        _, answer = put(service, "today")
        acknowledged.add(answer)
        assert [event["position"] for event in answer["events"]] == [2 * held + 1, 2 * held + 2]
        assert service.call("POST", f"{path}/resume")[0] == 200
        wait_until_settled(service, path)
        assert {arrival["id"] for arrival in receiver.arrivals()} == set(acknowledged.events)
    finally:
        receiver.stop()
        service.kill()


def forget_the_clock(database: Path) -> None:
    """Let the days that passed be days like others: a leap of the clock is not believed at once."""
    connection = sqlite3.connect(str(database))
    try:
        connection.execute("DELETE FROM clock_seen")
        connection.commit()
    finally:
        connection.close()


def start_and_die(service: Service) -> None:
    """Start a service that will kill itself, now or in a moment."""
    with suppress(AssertionError):  # it may not live to be ready
        service.start()
    assert service.process
    service.process.wait(timeout=60)


def add_endpoint(service: Service, receiver: Receiver) -> str:
    status, made = service.call("POST", "/v1/endpoints", {"url": receiver.url})
    assert status == 201, made
    return f"/v1/endpoints/{made['id']}"


NEXT_VERSION = """\
\"\"\"A step of a later version: every event is copied, and the one before is undone when it is not done whole.

Locks: everything, as long as it takes.
\"\"\"

from alembic import op

from crash.points import IN_MIGRATION, reach

revision = "9999"
down_revision = "{before}"


def upgrade() -> None:
    op.execute("CREATE TABLE copied AS SELECT account_id, position, event_id FROM events")
    op.execute("ALTER TABLE events ADD COLUMN from_the_future INTEGER")
    reach(IN_MIGRATION)
    op.execute("UPDATE events SET from_the_future = position")
"""


def test_a_migration_that_was_cut_off_is_made_whole_by_the_next_start(tmp_path: Path) -> None:
    receiver = Receiver(tmp_path / "arrivals.jsonl").start()
    service = Service(tmp_path, patches=PATCHES)
    try:
        service.start()
        acknowledged = Acknowledged()
        path = add_endpoint(service, receiver)
        put_many(service, acknowledged, "before")
        wait_until_settled(service, path)
        service.stop()
        history = tmp_path / "migrations"
        shutil.copytree(MIGRATIONS, history)
        (history / "versions" / "9999_next.py").write_text(NEXT_VERSION.format(before=newest_revision()))
        service.environment = {"MIGRATIONS": str(history)}
        arm(tmp_path, IN_MIGRATION)
        start_and_die(service)
        restart(service)
        copy = tmp_path / f"waypost.db.{newest_revision()}-before-9999"
        assert positions_in(copy, "events") == positions_in(tmp_path / "waypost.db", "copied")
        put_many(service, acknowledged, "after")
        wait_until_settled(service, path)
        check_all(service, receiver, acknowledged)
    finally:
        receiver.stop()
        service.kill()


def positions_in(database: Path, table: str) -> list[int]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return [position for (position,) in connection.execute(f"SELECT position FROM {table} ORDER BY position")]
    finally:
        connection.close()
