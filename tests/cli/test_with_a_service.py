"""The commands against a real service, started by `waypost serve`."""

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

import pytest

from cli.running import Ran, environment, waypost
from service_process import OPERATOR_TOKEN, Service

DOCUMENT = json.dumps({"handling_units": [{"id": "hu_1", "kind": "EUR", "gross_weight_kg": "402"}]})


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("service")).start()
    yield running
    running.stop()


@pytest.fixture
def run(service: Service, request: pytest.FixtureRequest) -> Any:
    """Runs a command for an account of the test's own, so that no test sees another's shipments."""
    account = f"t-{abs(hash(request.node.name)) % 10**9}"
    service.call("POST", "/v1/accounts", {"id": account, "name": request.node.name[:60]})
    given = {"WAYPOST_URL": f"http://127.0.0.1:{service.port}", "WAYPOST_TOKEN": OPERATOR_TOKEN}

    def command(*arguments: str, stdin: str = "", folder: Path | None = None) -> Ran:
        return waypost(*arguments, "--account", account, given=given, stdin=stdin, folder=folder)

    command.account = account  # type: ignore[attr-defined]
    return command


class Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Any]:
    """A server that answers 200, or what a test sets as its `status`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        server.status = 200  # type: ignore[attr-defined]
        server.url = f"http://127.0.0.1:{server.server_port}/hooks"  # type: ignore[attr-defined]
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def rows(ran: Ran) -> list[list[str]]:
    assert ran.code == 0, ran.err
    return [line.split("\t") for line in ran.out.splitlines()]


def fields(ran: Ran) -> dict[str, str]:
    assert ran.code == 0, ran.err
    return dict(line.split(maxsplit=1) for line in ran.out.splitlines() if line)


# --- Shipments


def test_a_document_from_standard_input_lists_the_events_that_followed(run):
    assert [row[1] for row in rows(run("shipment", "put", "SO-1", stdin=DOCUMENT))] == [
        "type",
        "shipment.created",
        "shipment.status.booked",
    ]


def test_the_same_document_again_says_that_nothing_changed(run):
    run("shipment", "put", "SO-1", stdin=DOCUMENT)
    ran = run("shipment", "put", "SO-1", stdin=DOCUMENT)
    assert (ran.code, ran.out, ran.err) == (0, "", "Nothing of SO-1 changed, so there is no event.\n")


def test_a_reference_with_slashes_and_blanks_is_put_and_shown(run, tmp_path):
    (tmp_path / "shipment.json").write_text(DOCUMENT)
    assert run("shipment", "put", "2026/11 Nr. 7", "shipment.json", folder=tmp_path).code == 0
    shown = fields(run("shipment", "show", "2026/11 Nr. 7"))
    assert (shown["reference"], shown["version"], shown["condition"]) == ("2026/11 Nr. 7", "1", "ok")


def test_a_scan_by_flags_moves_the_status(run):
    run("shipment", "put", "SO-1", stdin=DOCUMENT)
    scan = ("--status", "collected", "--location", "Pärnu", "--id", "scan-1")
    assert "shipment.status.collected" in run("shipment", "track", "SO-1", *scan).out
    shown = run("shipment", "show", "SO-1")
    assert "status     collected since" in shown.out
    assert "Pärnu" in shown.out


def test_scans_from_a_file_are_taken_together(run):
    run("shipment", "put", "SO-1", stdin=DOCUMENT)
    scans = [
        {"status": "collected", "occurred_at": "2026-11-20T08:00:00Z"},
        {"status": "in_transit", "occurred_at": "2026-11-20T12:00:00Z"},
    ]
    types = [row[1] for row in rows(run("shipment", "track", "SO-1", stdin=json.dumps(scans)))]
    assert types.count("tracking.event_recorded") == 2
    assert "shipment.status.in_transit" in types


def test_a_wrong_document_names_each_place_and_exits_1(run):
    wrong = json.dumps({"handling_units": [{"id": "hu_1", "sscc": "347401230000187311"}], "tagz": []})
    ran = run("shipment", "put", "SO-1", stdin=wrong)
    assert (ran.code, ran.out) == (1, "")
    assert "/handling_units/0/sscc" in ran.err
    assert "/tagz" in ran.err
    assert "Traceback" not in ran.err


def test_an_old_version_is_refused_with_if_match(run):
    run("shipment", "put", "SO-1", stdin=DOCUMENT)
    ran = run("shipment", "put", "SO-1", "--if-match", "7", stdin="{}")
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1


def test_a_shipment_that_is_unknown_is_one_sentence(run):
    ran = run("shipment", "show", "SO-404")
    assert (ran.code, ran.out) == (1, "")
    assert len(ran.err.splitlines()) == 1


def test_shipment_put_json_is_the_answer_of_the_api(run):
    answer = json.loads(run("shipment", "put", "SO-1", "--json", stdin=DOCUMENT).out)
    assert answer["shipment"]["reference"] == "SO-1"
    assert [event["sequence"] for event in answer["events"]] == [1, 2]


# --- Many shipments


def test_a_file_of_documents_is_put_line_by_line_and_the_wrong_line_is_named(run, tmp_path):
    lines = [json.dumps({"reference": f"B-{number}"}) for number in range(450)]
    lines[300] = json.dumps({"reference": "B-wrong", "eta": {"at": "2026-12-01T10:00:00"}})
    (tmp_path / "many.ndjson").write_text("\n".join(lines))
    ran = run("shipment", "put", "--bulk", "many.ndjson", folder=tmp_path)
    assert (ran.code, ran.out) == (1, "created 449, changed 0, unchanged 0\n")
    assert "1 line was refused; the others stand." in ran.err
    assert "line 301 (B-wrong): /eta/at" in ran.err


def test_bulk_json_is_one_result_a_line_with_the_line_of_the_file(run):
    lines = "".join(json.dumps({"reference": f"B-{number}"}) + "\n" for number in range(250))
    results = [
        json.loads(line) for line in run("shipment", "put", "--bulk", "-", "--json", stdin=lines).out.splitlines()
    ]
    assert [result["line"] for result in results] == list(range(1, 251))
    assert {result["status"] for result in results} == {201}


# --- Events


def test_events_are_listed_in_the_order_of_the_log(run):
    run("shipment", "put", "SO-1", stdin=DOCUMENT)
    run("shipment", "track", "SO-1", "--status", "collected")
    head, *found = rows(run("events", "list"))
    assert head[:4] == ["position", "reference", "sequence", "type"]
    assert [row[0] for row in found] == ["1", "2", "3", "4"]
    assert [row[0] for row in rows(run("events", "list", "--after", "2", "--limit", "1"))[1:]] == ["3"]


def test_the_events_of_one_shipment_are_whole_events_in_json(run):
    run("shipment", "put", "SO/1", stdin=DOCUMENT)
    run("shipment", "put", "SO-2", stdin=DOCUMENT)
    lines = run("events", "list", "--shipment", "SO/1", "--json").out.splitlines()
    assert [json.loads(line)["data"]["shipment"]["reference"] for line in lines] == ["SO/1", "SO/1"]


def test_tail_prints_what_happened_since_a_position_and_what_happens_now(run, service):
    run("shipment", "put", "SO-1", stdin=DOCUMENT)
    command = [sys.executable, "-m", "waypost.cli", "events", "tail", "--after", "1", "--limit", "3", "--json"]
    given = {"WAYPOST_URL": f"http://127.0.0.1:{service.port}", "WAYPOST_TOKEN": OPERATOR_TOKEN}
    tail = subprocess.Popen(
        [*command, "--account", run.account], env=environment(**given), stdout=subprocess.PIPE, text=True
    )
    assert json.loads(tail.stdout.readline())["position"] == 2
    run("shipment", "track", "SO-1", "--status", "collected")
    assert [json.loads(line)["type"] for line in tail.communicate(timeout=30)[0].splitlines()] == [
        "tracking.event_recorded",
        "shipment.status.collected",
    ]
    assert tail.returncode == 0


# --- Endpoints


def test_an_endpoint_is_added_with_its_secret_and_listed(run, receiver):
    added = fields(
        run("endpoint", "add", receiver.url, "--events", "shipment.status.*", "--events", "shipment.updated")
    )
    assert added["secret"].startswith("whsec_")
    [listed] = rows(run("endpoint", "list"))[1:]
    assert listed == [added["id"], receiver.url, "active", "0", "shipment.status.* shipment.updated"]


def test_other_fields_of_an_endpoint_come_from_a_file(run, receiver):
    settings = json.dumps({"max_in_flight": 3, "filter": {"countries": ["IS"]}})
    added = json.loads(run("endpoint", "add", receiver.url, "--settings", "-", "--json", stdin=settings).out)
    assert (added["max_in_flight"], added["filter"]) == (3, {"countries": ["IS"]})


def test_a_private_address_is_refused_with_the_reason(run):
    ran = run("endpoint", "add", "http://10.0.0.7/hooks")
    assert (ran.code, ran.out) == (1, "")
    assert "10.0.0.7 is a private address" in ran.err


def test_the_test_button_says_what_the_receiver_said(run, receiver):
    endpoint_id = fields(run("endpoint", "add", receiver.url))["id"]
    ran = run("endpoint", "test", endpoint_id, "--type", "shipment.status.delivered")
    assert ran.code == 0
    assert "Your server answered 200" in ran.out


def test_a_test_that_was_not_delivered_exits_1(run, receiver):
    endpoint_id = fields(run("endpoint", "add", receiver.url))["id"]
    receiver.status = 500
    ran = run("endpoint", "test", endpoint_id)
    assert ran.code == 1
    assert "500" in ran.out
    assert json.loads(run("endpoint", "test", endpoint_id, "--json").out)["verdict"] != "delivered"


def test_pause_and_resume_change_the_state(run, receiver):
    endpoint_id = fields(run("endpoint", "add", receiver.url))["id"]
    assert fields(run("endpoint", "pause", endpoint_id))["state"].startswith("paused")
    run("shipment", "put", "SO-1", stdin=DOCUMENT)
    assert fields(run("endpoint", "show", endpoint_id))["waiting"] == "2"
    assert not fields(run("endpoint", "resume", endpoint_id))["state"].startswith("paused")


def test_a_rotated_secret_is_another_one_and_says_how_long_the_old_one_signs(run, receiver):
    added = fields(run("endpoint", "add", receiver.url))
    ran = run("endpoint", "rotate", added["id"], "--overlap-seconds", "60")
    assert ran.out.startswith("whsec_")
    assert ran.out.strip() != added["secret"]
    assert ran.err.startswith("The old secret signs too until ")


def test_an_endpoint_with_waiting_events_is_removed_only_when_told_so(run, receiver):
    endpoint_id = fields(run("endpoint", "add", receiver.url))["id"]
    run("endpoint", "pause", endpoint_id)
    run("shipment", "put", "SO-1", stdin=DOCUMENT)
    ran = run("endpoint", "remove", endpoint_id)
    assert (ran.code, ran.err.split(" events wait at ")[0]) == (2, "2")
    assert run("endpoint", "remove", endpoint_id, "--yes").code == 0
    assert run("endpoint", "show", endpoint_id).code == 1


# --- Tokens


def test_a_token_is_shown_once_works_and_fails_once_revoked(run, service):
    made = run("token", "create", "tms", "--scope", "read")
    token_id = made.err.split()[3]
    own = {"WAYPOST_URL": f"http://127.0.0.1:{service.port}", "WAYPOST_TOKEN": made.out.strip()}
    assert waypost("events", "list", given=own).code == 0
    assert waypost("shipment", "put", "SO-1", given=own, stdin=DOCUMENT).code == 1
    assert token_id in run("token", "list").out
    assert made.out.strip() not in run("token", "list").out
    assert run("token", "revoke", token_id).code == 0
    assert waypost("events", "list", given=own).code == 1


def test_a_sign_in_link_is_printed_and_leads_to_a_page(run, service):
    made = run("sign-in-link")
    assert made.code == 0
    assert made.out.startswith(f"http://127.0.0.1:{service.port}/join/")
    with urlopen(made.out.strip(), timeout=10) as page:
        assert page.status == 200


def test_a_sign_in_link_for_a_stranger_is_one_sentence(run):
    refused = run("sign-in-link", "--email", "nobody@fossvik.example")
    assert refused.code == 1
    assert "Nobody in this account has this e-mail address." in refused.err
    assert "Traceback" not in refused.err


# --- Doctor, verify, migrate, serve


def test_doctor_finds_everything_well_and_reaches_each_endpoint(run, service, receiver):
    endpoint_id = fields(run("endpoint", "add", receiver.url))["id"]
    settings = {
        "WAYPOST_URL": f"http://127.0.0.1:{service.port}",
        "WAYPOST_TOKEN": OPERATOR_TOKEN,
        "WAYPOST_EGRESS_ALLOW": "127.0.0.0/8,::1/128",
        "WAYPOST_PORT": str(service.port),
        "WAYPOST_DATA_DIR": str(service.folder),
    }
    ran = waypost("doctor", "--account", run.account, given=settings)
    assert f"ok\t{run.account}/{endpoint_id}\t{receiver.url} answers at 127.0.0.1" in ran.out
    assert "ok\tservice\t" in ran.out
    assert "ok\tdatabase\t" in ran.out
    assert (ran.code, ran.err) == (0, "")


def test_doctor_names_an_endpoint_that_cannot_be_reached(run, service, receiver):
    run("endpoint", "add", receiver.url)
    receiver.server_close()
    given = {"WAYPOST_URL": f"http://127.0.0.1:{service.port}", "WAYPOST_TOKEN": OPERATOR_TOKEN}
    allowed = {"WAYPOST_EGRESS_ALLOW": "127.0.0.0/8,::1/128", "WAYPOST_DATA_DIR": str(service.folder)}
    ran = waypost("doctor", "--json", "--account", run.account, given=given | allowed)
    assert ran.code == 1
    [failed] = [finding for finding in json.loads(ran.out)["findings"] if finding["health"] == "fail"]
    assert "refused" in failed["says"].lower()


def test_doctor_shows_no_query_of_an_address_since_it_may_hold_a_key(run, service, receiver):
    run("endpoint", "add", f"{receiver.url}?key=canary")
    run("endpoint", "add", "http://127.0.0.1:1/?key=canary")
    given = {"WAYPOST_URL": f"http://127.0.0.1:{service.port}", "WAYPOST_TOKEN": OPERATOR_TOKEN}
    allowed = {"WAYPOST_EGRESS_ALLOW": "127.0.0.0/8,::1/128", "WAYPOST_DATA_DIR": str(service.folder)}
    ran = waypost("doctor", "--account", run.account, given=given | allowed)
    assert f"{receiver.url} answers" in ran.out
    assert "http://127.0.0.1:1/: " in ran.out
    assert "canary" not in ran.out + ran.err


def test_verify_takes_the_secret_of_an_endpoint(run, receiver):
    added = fields(run("endpoint", "add", receiver.url))
    request = "webhook-id: evt_1\nwebhook-timestamp: 1\nwebhook-signature: v1,AAAA\n\n{}"
    ran = run("verify", "--endpoint", added["id"], stdin=request)
    assert ran.code == 1
    assert "wrong\ttime\t" in ran.out


def test_a_second_service_on_the_same_file_refuses_in_one_sentence(service):
    given = {"WAYPOST_DATA_DIR": str(service.folder), "WAYPOST_SECRET_KEY": "A" * 43 + "="}
    ran = waypost("migrate", given=given)
    assert (ran.code, ran.out) == (1, "")
    assert "is in use by process" in ran.err
