"""The demo as a user runs it: real processes, a real crash of the shop in the middle."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from cli.running import Ran, environment, waypost
from service_process import free_port, wait_for


@pytest.fixture
def temporary(tmp_path: Path) -> dict[str, str]:
    """The system's temporary folder of one run, to see what it leaves behind."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return {"TMPDIR": str(folder)}


def start(temporary: Mapping[str, str], folder: Path) -> subprocess.Popen[str]:
    """Start the demo as it is watched, and wait until its story has begun."""
    command = [sys.executable, "-m", "waypost.cli", "demo", "--port", str(free_port())]
    demo = subprocess.Popen(
        command, env=environment(**temporary), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert demo.stderr
    assert demo.stderr.readline().startswith("in    SO-1001 booked")
    return demo


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path]:
    """The story told once, and the folder it was told in, which is also its temporary folder."""
    folder = tmp_path_factory.mktemp("once")
    return waypost("demo", "--once", given={"TMPDIR": str(folder)}, folder=folder), folder


def test_once_tells_the_whole_story_and_every_event_takes_effect_exactly_once(once):
    ran, _ = once
    assert ran.code == 0, ran.err
    summary = dict(line.split(" ") for line in ran.out.splitlines())
    assert list(summary) == ["shipments", "events", "deliveries", "effects"]
    assert summary["shipments"] == "12"
    assert int(summary["events"]) > 100
    assert summary["events"] == summary["deliveries"]
    assert 0 < int(summary["effects"]) < int(summary["events"])


def test_while_the_shop_is_down_deliveries_are_refused_and_tried_again(once):
    ran, _ = once
    assert "shop  ! the shop's program dies" in ran.err
    assert "out   ! retrying SO-" in ran.err


def test_once_leaves_nothing_behind(once):
    _, folder = once
    assert os.listdir(folder) == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_every_process_and_removes_the_folder(name, temporary, tmp_path):
    demo = start(temporary, tmp_path)
    children = psutil.Process(demo.pid).children(recursive=True)
    assert len(children) >= 2
    demo.send_signal(getattr(signal, name))
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 0, err
    assert "Try    curl" in out
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert os.listdir(temporary["TMPDIR"]) == []


def test_a_demo_that_is_killed_takes_its_processes_along(temporary, tmp_path):
    demo = start(temporary, tmp_path)
    children = psutil.Process(demo.pid).children(recursive=True)
    demo.kill()
    demo.communicate(timeout=30)
    wait_for(lambda: psutil.wait_procs(children, timeout=1)[1] == [], "the children to end")


def test_a_port_in_use_is_wrong_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = waypost("demo", "--once", "--port", str(taken.getsockname()[1]), folder=tmp_path)
    assert (ran.code, ran.out) == (2, "")
