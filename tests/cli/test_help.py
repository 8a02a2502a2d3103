import io
import re

import pytest
from rich.console import Console

from cli.running import waypost
from waypost import __version__
from waypost.cli.__main__ import build_app

COMMANDS = [
    "serve",
    "demo",
    "migrate",
    "token create",
    "token list",
    "token revoke",
    "endpoint add",
    "endpoint list",
    "endpoint show",
    "endpoint test",
    "endpoint pause",
    "endpoint resume",
    "endpoint remove",
    "endpoint rotate",
    "shipment put",
    "shipment show",
    "shipment track",
    "events list",
    "events tail",
    "verify",
    "bench",
    "doctor",
]
WITHOUT_DATA = {"serve", "demo", "token revoke", "endpoint remove"}


def help_of(command: str) -> str:
    called, *_ = words = command.split()
    shown = io.StringIO()
    build_app(called).help_print(words, console=Console(file=shown, width=100))
    return shown.getvalue()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example_that_begins_with_it(command):
    shown = help_of(command)
    assert f"Usage: waypost {command}" in shown
    assert re.search(rf"^ *(WAYPOST_\w+=\S+ )?waypost {command}\b", shown, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_prints_data_prints_json_when_asked(command):
    assert ("--json" in help_of(command)) == (command not in WITHOUT_DATA)


def test_no_flag_takes_a_secret():
    flags = {flag for command in COMMANDS for flag in re.findall(r"--[a-z-]+", help_of(command))}
    assert not flags & {"--token", "--secret", "--secret-key", "--operator-token", "--password"}


def test_the_help_of_waypost_names_every_command_and_a_way_to_begin():
    ran = waypost("--help")
    assert (ran.code, ran.err) == (0, "")
    assert "waypost demo" in ran.out
    for name in {command.split()[0] for command in COMMANDS}:
        assert re.search(rf"│ {name} ", ran.out)


def test_version_is_that_of_the_package():
    assert waypost("--version").out.strip() == __version__


@pytest.mark.parametrize(
    "arguments", ["frobnicate", "endpoint frobnicate", "endpoint show", "shipment put", "events list --limit x"]
)
def test_wrong_use_is_one_sentence_on_standard_error_and_exit_code_2(arguments):
    ran = waypost(*arguments.split(), given={"WAYPOST_TOKEN": "x"})
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    assert "Traceback" not in ran.err
