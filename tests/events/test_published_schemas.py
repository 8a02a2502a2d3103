import json
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from events.reports import DAY_ONE, reports
from events.schemas import problems
from waypost.errors import CallerError
from waypost.events import patterns
from waypost.events.envelope import encode_event
from waypost.events.filters import Filter
from waypost.events.kinds import EVENT_TYPES
from waypost.events.patterns import Wants
from waypost.ids import AccountId, EventId, ShipmentId
from waypost.shipments.erase import blank_event
from waypost.shipments.report import Report, apply
from waypost.shipments.state import shipment_json

SHIPMENT_ID = ShipmentId("shp_1")


def events_of(said: list[Report]) -> list[bytes]:
    """The events that follow from the reports, one report an hour; a report that is refused makes none."""
    state, events = None, []
    for hour, report in enumerate(said):
        now = DAY_ONE + timedelta(hours=hour)
        try:
            outcome = apply(state, report, reference="SO-1", shipment_id=SHIPMENT_ID, now=now)
        except CallerError:
            continue
        state = outcome.state
        for fact in outcome.facts:
            event = encode_event(
                fact,
                shipment=shipment_json(state, 20),
                event_id=EventId(f"evt_{len(events)}"),
                account_id=AccountId("default"),
                shipment_id=SHIPMENT_ID,
                reference="SO-1",
                sequence=len(events) + 1,
                position=len(events) + 1,
                recorded_at=now,
            )
            events.append(event)
    return events


@settings(max_examples=150, deadline=None)
@given(st.lists(reports, min_size=1, max_size=8))
def test_every_event_is_valid_by_the_published_schema_of_its_type(said):
    for body in events_of(said):
        event = json.loads(body)
        assert event["type"] in EVENT_TYPES
        assert problems(event) == []


@settings(max_examples=50, deadline=None)
@given(st.lists(reports, min_size=1, max_size=6), st.sampled_from(["EE", "IS", "NO"]))
def test_a_filter_sees_what_a_reader_of_the_whole_event_sees(said, country):
    wants = patterns.compile(Wants(("*",), Filter(countries=(country,))))
    for body in events_of(said):
        shipment = json.loads(body)["data"]["shipment"]
        places = [*shipment["stops"], *filter(None, (shipment["parties"] or {}).values())]
        found = {(place["address"] or {}).get("country") for place in places}
        assert wants("shipment.created", body) is (country in found)


@settings(max_examples=50, deadline=None)
@given(st.lists(reports, min_size=1, max_size=6))
def test_an_erased_event_is_still_valid_by_the_published_schema(said):
    for body in events_of(said):
        assert problems(json.loads(blank_event(body))) == []
