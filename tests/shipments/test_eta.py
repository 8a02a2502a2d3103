"""Which ETA stands, and when a new one is told."""

import datetime as dt

import pytest

from shipments.builders import NOW, Freight, a_scan, at, carrier_scan
from waypost.shipments import Document, Eta, EtaChanged


def eta(minutes=0, **fields):
    return {"eta": {"at": (at(96) + dt.timedelta(minutes=minutes)).isoformat()} | fields}


@pytest.fixture
def freight():
    freight = Freight()
    freight.put(eta())
    return freight


def test_forty_minutes_more_are_told_and_are_no_update(freight):
    assert freight.put(eta(40)) == ["eta_changed"]
    fact = freight.fact(EtaChanged)
    assert (fact.delta_minutes, fact.previous.at, fact.eta.at) == (40, at(96), at(96) + dt.timedelta(minutes=40))


@pytest.mark.parametrize("minutes", [10, 15, -15])
def test_a_quarter_of_an_hour_is_stored_and_not_told(freight, minutes):
    assert freight.put(eta(minutes)) == []
    assert freight.shown.version == 2
    assert freight.shown.eta.at == at(96) + dt.timedelta(minutes=minutes)


def test_the_threshold_is_measured_from_the_last_one_told(freight):
    assert [freight.put(eta(minutes)) for minutes in (10, 14, 16)] == [[], [], ["eta_changed"]]
    assert freight.fact(EtaChanged).delta_minutes == 16


def test_an_account_may_set_another_threshold():
    freight = Freight(eta_threshold_minutes=60)
    freight.put(eta())
    assert [freight.put(eta(40)), freight.put(eta(61))] == [[], ["eta_changed"]]


def test_where_only_a_date_is_known_any_other_date_is_told():
    freight = Freight()
    freight.put({"eta": {"date": "2026-12-08", "precision": "date"}})
    assert freight.put({"eta": {"date": "2026-12-09", "precision": "date"}}) == ["eta_changed"]
    assert freight.fact(EtaChanged).delta_minutes == 1440
    assert freight.put({"eta": {"at": "2026-12-09T23:00:00Z"}}) == []


def test_an_eta_that_appears_or_vanishes_is_told(freight):
    assert freight.put({}) == ["eta_changed"]
    assert (freight.fact(EtaChanged).eta, freight.fact(EtaChanged).delta_minutes) == (None, None)
    assert freight.put(eta()) == ["eta_changed"]
    assert freight.fact(EtaChanged).previous is None


def test_a_window_or_source_alone_is_stored_and_not_told(freight):
    assert freight.put(eta(source="predicted")) == []
    assert freight.shown.eta.source == "predicted"


def test_the_latest_statement_wins(freight):
    assert freight.scan(a_scan(**eta(60))) == ["recorded", "eta_changed"]
    assert freight.put(eta(120)) == ["eta_changed"]
    assert freight.shown.eta.at == at(98)


def test_what_a_document_repeats_is_no_new_statement(freight):
    freight.scan(a_scan(**eta(60)))
    assert freight.put(eta()) == []
    assert freight.put(eta() | {"tags": ["a"]}) == ["updated"]
    assert freight.shown.eta.at == at(97)


def test_when_a_document_drops_its_eta_the_carriers_stands(freight):
    freight.scan(a_scan(**eta(60)))
    freight.put(eta(120))
    assert freight.put({}) == ["eta_changed"]
    assert freight.shown.eta.at == at(97)


def test_an_older_scan_that_comes_late_does_not_bring_its_eta_back(freight):
    freight.scan(a_scan(**eta(60), hours=-1))
    assert freight.scan(a_scan(**eta(30), hours=-2)) == ["recorded"]
    assert freight.shown.eta.at == at(97)


def test_a_retracted_estimate_gives_way_to_the_one_before(freight):
    freight.carrier(carrier_scan(id="e1", eta={"at": at(97)}), carrier="x", tracking_number="1")
    told = freight.carrier(carrier_scan(id="e1", eta={"at": at(97)}, retracted=True), carrier="x", tracking_number="1")
    assert told == ["retracted", "eta_changed"]
    assert freight.shown.eta.at == at(96)


def test_earlier_ones_are_kept_as_history(freight):
    for minutes in range(1, 30):
        freight.put(eta(minutes))
    assert len(freight.shown.eta.history) == 20
    assert freight.shown.eta.history[-1].at == at(96) + dt.timedelta(minutes=28)
    assert freight.shown.eta.stated_at == NOW


def test_a_carriers_message_may_state_an_eta_papers_and_a_link(freight):
    label = Document(kind="pod", url="https://carrier.example/pod/1")
    told = freight.carrier(eta=Eta(at=at(99)), documents=(label,), tracking_url="https://carrier.example/7489")
    assert told == ["updated", "eta_changed", "document_added"]
    assert freight.carrier(eta=Eta(at=at(99)), documents=(label,), tracking_url="https://carrier.example/7489") == []


def test_what_a_carrier_said_survives_a_put(freight):
    freight.carrier(documents=(Document(kind="pod", url="https://carrier.example/pod/1"),))
    assert freight.put(eta()) == []
    assert [document.id for document in freight.shown.documents] == ["pod:https://carrier.example/pod/1"]


def test_a_late_statement_of_the_carrier_does_not_overrule_the_document(freight):
    freight.scan(a_scan(**eta(60), hours=-1))
    freight.put(eta(120))
    assert freight.scan(a_scan(**eta(30), hours=-2)) == ["recorded"]
    assert freight.shown.eta.at == at(98)


def test_a_carrier_that_says_the_same_in_another_scan_states_it_anew(freight):
    freight.scan(a_scan(**eta(60), hours=-2))
    freight.put(eta(120))
    assert freight.scan(a_scan(**eta(60), hours=-1)) == ["recorded", "eta_changed"]
    assert freight.shown.eta.at == at(97)
