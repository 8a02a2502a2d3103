"""The overview: one sentence that is true, numbers by the viewer's clock, and what needs a person, the worst first."""

import re
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.conftest import Site
from waypost.clock import to_micros
from waypost.dashboard.windows import NAMES, cut
from waypost.log import Standing, units
from waypost.log.hours import HOUR_US
from waypost.log.records import EndpointWrite

TALLINN, REYKJAVIK, KOLKATA = ZoneInfo("Europe/Tallinn"), ZoneInfo("Atlantic/Reykjavik"), ZoneInfo("Asia/Kolkata")
ZONES = st.sampled_from([TALLINN, REYKJAVIK, KOLKATA, ZoneInfo("America/New_York")])
INSTANTS = st.integers(1_577_836_800, 1_893_456_000).map(lambda at: datetime.fromtimestamp(at, UTC))  # of ten years
MIDNIGHT = time()


async def an_endpoint(site: Site, name: str, **more: object) -> str:
    made = await site.api.call(
        "POST", "/v1/endpoints", {"url": "https://erp.example/hooks", "description": name, **more}
    )
    return str(made.json()["id"])


async def fares(site: Site, endpoint_id: str, health: str, reason: str) -> None:
    """Let the owner of an endpoint have found it in trouble."""
    (lease,) = [one for one in await site.log.take_leases("w1", 60, 100) if one.endpoint_id == endpoint_id]
    standing = Standing(health=health, reason=reason, since=to_micros(site.clock.now()))
    await site.log.persist(
        [
            EndpointWrite(
                account_id=lease.account_id, endpoint_id=lease.endpoint_id, epoch=lease.epoch, standing=standing
            )
        ]
    )


async def shown(site: Site, path: str = "/") -> str:
    """The words of the page."""
    visitor = await site.visitor("owner")
    reply = await visitor.get(path)
    assert reply.status == 200
    main = reply.body.decode().partition("<main")[2]
    return " ".join(re.sub(r"<[^>]+>", " ", main.replace("&#39;", "'")).split())


async def test_without_an_endpoint_it_says_that_nobody_is_told(site: Site) -> None:
    text = await shown(site)
    assert "Nobody is told yet." in text
    assert "Add your first endpoint" in text


async def test_all_is_well_when_every_endpoint_is_active(site: Site) -> None:
    await an_endpoint(site, "ERP")
    text = await shown(site)
    assert "Updates are going out. Your endpoint takes them as they come." in text
    assert "Nothing needs you." in text


async def test_some_are_left_out_with_what_waits_there(site: Site) -> None:
    await an_endpoint(site, "ERP")
    await an_endpoint(site, "Dispatch board", paused=True)
    await site.api.call("PUT", "/v1/shipments/SO-1", {})
    text = await shown(site)
    assert "Updates are going out, except to one of your 2 endpoints. One is paused: 2 events wait, in order." in text


async def test_none_are_going_out_when_every_endpoint_is_in_trouble(site: Site) -> None:
    endpoint_id = await an_endpoint(site, "Invoicing")
    await site.api.call("PUT", "/v1/shipments/SO-1", {})
    await fares(site, endpoint_id, "suspended", "It answered 410 Gone, which means: stop sending.")
    text = await shown(site)
    assert "No updates are going out. One is suspended: 2 events wait, in order. Nothing is lost." in text


async def test_what_needs_a_person_stands_in_the_order_of_its_harm(site: Site) -> None:
    failing = await an_endpoint(site, "Customer portal")
    await fares(site, failing, "failing", "answers 401")
    suspended = await an_endpoint(site, "Invoicing")
    await fares(site, suspended, "suspended", "It answered 410 Gone.")
    rotated = await an_endpoint(site, "Warehouse Tallinn")
    await site.api.call("POST", f"/v1/endpoints/{rotated}/secret/rotate", {"overlap_seconds": 3600})
    text = await shown(site)
    heads = ("Invoicing is suspended", "Customer portal does not take our requests", "Old secret of Warehouse Tallinn")
    places = [text.index(head) for head in heads]
    assert places == sorted(places)


async def test_the_latest_events_say_how_many_were_told(site: Site) -> None:
    await an_endpoint(site, "ERP", events=["shipment.created"])
    await site.api.call("PUT", "/v1/shipments/SO-48260", {})
    text = await shown(site)
    assert re.search(r"SO-48260 Created shipment.created .*? 0 of 1|SO-48260 .*?0 of 1", text)
    assert "nobody asks" in text


async def test_a_viewer_is_not_offered_to_change_anything(site: Site) -> None:
    endpoint_id = await an_endpoint(site, "Invoicing")
    await fares(site, endpoint_id, "suspended", "It answered 410 Gone.")
    visitor = await site.visitor("viewer")
    assert b"test-and-resume" not in (await visitor.get("/")).body
    assert b"test-and-resume" in (await (await site.visitor("manager")).get("/")).body


@pytest.mark.parametrize("window", ["today", "day", "week", "no-such"])
async def test_every_window_has_its_chart_and_its_table(site: Site, window: str) -> None:
    await site.api.call("PUT", "/v1/shipments/SO-1", {})
    text = await shown(site, f"/?window={window}")
    assert "As a table" in text
    assert ("Events every 4 hours" in text) == (window == "week")


async def test_nothing_of_another_account_is_shown(site: Site) -> None:
    await site.log.do(units.create_account("fossvik", "Fossvik Freight"))
    await an_endpoint(site, "ERP production")
    await site.api.call("PUT", "/v1/shipments/SO-48260", {})
    visitor = await site.visitor("owner", account="fossvik")
    body = (await visitor.get("/")).body
    assert b"SO-48260" not in body
    assert b"ERP production" not in body


# -- windows


@given(INSTANTS, ZONES, st.sampled_from(NAMES))
def test_now_lies_in_the_window_and_bins_have_no_gaps(now: datetime, zone: ZoneInfo, name: str) -> None:
    window = cut(name, now, zone)
    assert window.edges[0] <= to_micros(now) < window.edges[-1]
    assert len({after - before for before, after in pairwise(window.edges)}) == 1
    assert all(len(week) == len(window.edges) for week in window.before)


@given(INSTANTS, ZONES)
def test_today_begins_at_midnight_by_the_viewers_clock(now: datetime, zone: ZoneInfo) -> None:
    window = cut("today", now, zone)
    assert window.bins[0][0].time() == MIDNIGHT
    assert 23 <= len(window.bins) <= 25
    for week in window.before:
        assert datetime.fromtimestamp(week[0] / 1e6, zone).time() == MIDNIGHT


def test_a_day_with_the_change_of_clocks_has_an_hour_more_or_less() -> None:
    spring, autumn = datetime(2026, 3, 29, 12, tzinfo=UTC), datetime(2026, 10, 25, 12, tzinfo=UTC)
    assert [len(cut("today", day, TALLINN).bins) for day in (spring, autumn)] == [23, 25]


def test_the_usual_up_to_now_takes_only_the_share_of_the_hour_that_has_passed() -> None:
    window = cut("today", datetime(2026, 12, 1, 2, 30, tzinfo=UTC), REYKJAVIK)
    assert window.passed([10.0] * 24) == 25
    assert window.is_open
    assert window.edges[1] - window.edges[0] == HOUR_US


def test_the_24_hours_end_with_the_hour_that_runs() -> None:
    window = cut("day", datetime(2026, 12, 1, 14, 32, tzinfo=UTC), KOLKATA)
    assert window.bins[-1][1].time().minute == 0
    assert not window.is_open
    assert window.bins[-1][1] - window.bins[0][0] == timedelta(hours=24)
