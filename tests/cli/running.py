"""Runs the command line as a user does: in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 60


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


def environment(**given: str) -> dict[str, str]:
    """This process's environment with these Waypost settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WAYPOST_")}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "COLUMNS": "200"} | given


def waypost(
    *arguments: str, given: Mapping[str, str] | None = None, stdin: str = "", folder: Path | None = None
) -> Ran:
    """Run `waypost` with these arguments, in `folder`."""
    done = subprocess.run(
        [sys.executable, "-m", "waypost.cli", *arguments],
        env=environment(**(given or {})),
        input=stdin,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
