"""Whom a service connects to in a whole run: those it was given, and nobody else, whatever its environment says."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from service_process import Service, free_port, wait_for

pytestmark = pytest.mark.xdist_group("outgoing")

RECORDING = Path(__file__).parents[1] / "promises" / "recording"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@dataclass
class Given:
    """Somebody the service was given: a server that takes everything, and remembers it."""

    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                body = json.dumps({"access_token": "abc", "token_type": "Bearer", "expires_in": 600}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Trap:
    """A port that nobody has a reason to connect to."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def was_sprung(self) -> bool:
        self.listener.settimeout(0)
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def stop(self) -> None:
        self.listener.close()


@dataclass
class Run:
    """What is known after the run."""

    given: dict[str, int]  # ports by what they are
    receiver: Given
    trap: Trap
    recorded: str


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("run")
    with ExitStack() as stack:
        receiver, token_endpoint, elsewhere = Given(), Given(), Given()
        trap, mail = Trap(), Trap()
        for server in (receiver, token_endpoint, elsewhere, trap, mail):
            stack.callback(server.stop)
        nobody = free_port()
        (folder / ".netrc").write_text("machine 127.0.0.1 login netrc-user password netrc-password\n")
        (folder / ".netrc").chmod(0o600)
        service = Service(
            folder,
            environment={
                "PYTHONPATH": str(RECORDING),
                "CONNECTIONS_FILE": str(folder / "connections"),
                "HOME": str(folder),
                "NETRC": str(folder / ".netrc"),
                "NO_PROXY": "",
                **dict.fromkeys(PROXIES, f"http://127.0.0.1:{trap.port}"),
                "WAYPOST_SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
            },
        ).start()
        stack.callback(service.kill)
        use_everything(service, receiver, token_endpoint, elsewhere, nobody)
        wait_for(mail.was_sprung, "the mail server to be asked")
        assert service.stop() == 0
        given = {
            "receiver": receiver.port, "token endpoint": token_endpoint.port, "another address": elsewhere.port,
            "mail server": mail.port, "a receiver that is down": nobody, "itself": service.port,
        }  # fmt: skip
        yield Run(given, receiver, trap, (folder / "connections").read_text())


def use_everything(service: Service, receiver: Given, token_endpoint: Given, elsewhere: Given, nobody: int) -> None:
    """Use what the service has, as far as it has a reason to connect to somebody."""
    ask(service, "PATCH", "/v1/accounts/default", {"alert_email": "ops@saarepuu.example"})
    grant = {"type": "oauth2_client_credentials", "client_id": "us", "client_secret": "s"}
    plain = add_endpoint(service, url=receiver.url)
    with_token = add_endpoint(
        service, url=receiver.url, auth=grant | {"token_url": f"http://127.0.0.1:{token_endpoint.port}/token"}
    )
    down = add_endpoint(service, url=f"http://127.0.0.1:{nobody}/hook", retry_schedule=[0.1] * 10)
    links = [{"id": "d_1", "kind": "label", "url": "https://tms.example/labels/1", "mime": "application/pdf"}]
    document = {"documents": links, "tracking": {"tracking_url": "https://carrier.example/track"}}
    ask(service, "PUT", "/v1/shipments/SO-1", document)
    ask(service, "PUT", "/v1/shipments/SO-1", document | {"tags": ["<img src=https://tracker.example/x.png>"]})
    for path in (plain, with_token):
        wait_for(lambda path=path: ask(service, "GET", path)["waiting"] == 0, "everything to be settled")
        ask(service, "POST", f"{path}/test", {"type": "shipment.created"})
    first_event = ask(service, "GET", "/v1/events?limit=1")["items"][0]["id"]
    ask(service, "POST", f"{plain}/deliveries/{first_event}/resend")
    ask(service, "POST", f"{plain}/replay", {"which": "all", "to_url": elsewhere.url})
    wait_for(lambda: elsewhere.requests, "the replay to go to the other address")
    wait_for(lambda: ask(service, "GET", down)["state"] == "failing", "the receiver that is down to be noticed")
    for page in ("/docs", "/schema/openapi.json", "/metrics"):
        assert service.call("GET", page)[0] == 200
    wait_for(lambda: service.call("GET", "/readyz")[0] == 200, "the service to be ready")
    assert service.call("DELETE", "/v1/shipments/SO-1")[0] in {200, 202, 204}


def ask(service: Service, method: str, path: str, body: Any = None) -> Any:
    status, answer = service.call(method, path, body)
    assert status < 300, (method, path, answer)
    return answer


def add_endpoint(service: Service, **settings: Any) -> str:
    return f"/v1/endpoints/{ask(service, 'POST', '/v1/endpoints', settings)['id']}"


def test_a_whole_run_connects_to_those_it_was_given_and_to_nobody_else(run: Run) -> None:
    connected = [line for line in run.recorded.splitlines() if line.startswith(("socket.connect", "socket.sendto"))]
    ports = {int(match[1]) for line in connected if (match := re.search(r"\('127\.0\.0\.1', (\d+)\)", line))}
    assert ports == set(run.given.values())
    local = r"\('127\.0\.0\.1', \d+\)|'/(dev|run|var/run)/"  # the system's log and name service, over socket files
    assert [line for line in connected if not re.search(local, line)] == []


def test_no_name_is_looked_up_that_nobody_gave(run: Run) -> None:
    looked_up = [line for line in run.recorded.splitlines() if line.startswith("socket.getaddrinfo")]
    assert [line for line in looked_up if not re.search(r"\('(127\.0\.0\.1|localhost)'", line)] == []


def test_proxies_of_the_environment_are_not_used(run: Run) -> None:
    assert run.receiver.requests
    assert not run.trap.was_sprung()


def test_passwords_of_a_netrc_are_not_sent(run: Run) -> None:
    sent = [headers.get("authorization") for _, headers in run.receiver.requests]
    assert set(sent) == {None, "Bearer abc"}
