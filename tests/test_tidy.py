"""House rules that no linter knows: what the pure core may not touch, who may speak HTTP, what no file may mention."""

import ast
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "waypost"

# The core decides and never acts: no clock, no dice, no file, no environment. Time, ids and randomness are arguments.
PURE = (
    "shipments",
    "events",
    "intake",
    "delivery/coalescing.py",
    "delivery/engine.py",
    "delivery/health.py",
    "delivery/lanes.py",
    "delivery/pace.py",
    "delivery/packing.py",
    "delivery/parcels.py",
    "delivery/persisting.py",
    "delivery/probing.py",
    "delivery/schedule.py",
    "delivery/signals.py",
    "delivery/turns.py",
    "ids.py",
    "errors.py",
)
IMPURE_CALLS = {
    "open",
    "input",
    "print",
    "exec",
    "eval",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "uuid.uuid1",
    "uuid.uuid4",
    "uuid1",
    "uuid4",
    "Path.home",
    "Path.cwd",
}
IMPURE_MODULES = {
    "aiohttp",
    "asyncio",
    "http",
    "logging",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib.request",
}

# One connector looks at every address that a webhook goes to. A second way out would be a way around it.
HTTP_CLIENTS = {
    "aiohttp",
    "http.client",
    "httplib2",
    "httpx",
    "niquests",
    "pycurl",
    "pyreqwest",
    "requests",
    "urllib.request",
    "urllib3",
}
HARMLESS = {"urllib.request.pathname2url"}  # turns a path into a URL, and fetches nothing
MAY_SPEAK_HTTP = {
    "delivery/sender.py": "sends the webhooks",
    "delivery/connector.py": "the sender's connector, which vets each address",
    "delivery/failures.py": "tells what went wrong from what the connector raises",
    "delivery/looking.py": "knows the connector's errors",
    "dashboard/receivers": "code for the other end to copy, which nothing here runs",
    "bench": "measures the service from outside, and holds it against a bare client",
    "client.py": "the command line and the demo are clients of the API",
}

# Paths of one machine mean nothing on another. The words are cut in two so that this file does not hold them itself.
FORBIDDEN_TEXT = ["/wo" + "rk/", "/tmp/" + "plan", "/ho" + "me/", "shared" + "/samples", "inter" + "faces.md"]


def _modules(*places: str) -> list[Path]:
    paths = [SOURCE / place for place in places]
    return sorted(file for path in paths for file in ([path] if path.suffix == ".py" else path.rglob("*.py")))


def _name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def _is_within(name: str, modules: set[str]) -> bool:
    return any(name == module or name.startswith(module + ".") for module in modules)


def _is_within_folder(name: str, places: Iterable[str]) -> bool:
    return any(name == place or name.startswith(place + "/") for place in places)


def impurities(source: str) -> list[str]:
    """Everything in `source` that reads a clock, draws a random number or touches the outside."""
    tree = ast.parse(source)
    found = [f"line {line}: import of {name}" for line, name in _imports(tree) if _is_within(name, IMPURE_MODULES)]
    for line, called in _calls(tree):
        last_two = ".".join(called.split(".")[-2:])
        if called in IMPURE_CALLS or last_two in IMPURE_CALLS:
            found.append(f"line {line}: call of {called}")
    return found


def http_clients(source: str) -> list[str]:
    """The HTTP clients that `source` imports."""
    imports = [(line, name) for line, name in _imports(ast.parse(source)) if name not in HARMLESS]
    return [f"line {line}: {name}" for line, name in imports if _is_within(name, HTTP_CLIENTS)]


@pytest.mark.parametrize("path", _modules(*PURE), ids=_name)
def test_the_pure_core_reads_no_clock_and_draws_no_number(path: Path) -> None:
    assert impurities(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime\ndatetime.now()",
        "import datetime\ndatetime.datetime.utcnow()",
        "import time\ntime.time()",
        "from time import monotonic",
        "import random",
        "import secrets",
        "from uuid import uuid4\nuuid4()",
        "import uuid\nuuid.uuid4()",
        "import os\nos.environ['X']",
        "open('x')",
    ],
)
def test_the_rule_for_the_core_finds_what_it_looks_for(source: str) -> None:
    assert impurities(source)


def test_every_place_of_the_core_is_looked_at() -> None:
    assert [place for place in PURE if not (SOURCE / place).exists()] == []


def test_only_the_sender_and_the_clients_of_the_api_speak_http() -> None:
    others = [path for path in _modules(".") if not _is_within_folder(_name(path), MAY_SPEAK_HTTP)]
    assert {_name(p): c for p in others if (c := http_clients(p.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(
    "source", ["import httpx", "from requests import get", "from urllib.request import urlopen", "import http.client"]
)
def test_the_rule_for_http_finds_what_it_looks_for(source: str) -> None:
    assert http_clients(source)


def test_only_one_kind_of_http_client_is_used_by_the_sender() -> None:
    sources = [path.read_text(encoding="utf-8") for path in _modules("delivery")]
    found = {name.split(": ")[1].split(".")[0] for source in sources for name in http_clients(source)}
    assert found <= {"aiohttp"}


def test_no_file_mentions_the_machine_it_was_written_on() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    files = [ROOT / name for name in listed.decode().split("\0") if name]
    found = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in files
        if path.is_file()
        for text in FORBIDDEN_TEXT
        if text.encode() in path.read_bytes()
    ]
    assert found == []
