"""Starts `waypost serve` with parts of it replaced, for what no setting can bring about: a name that changes its mind,
a crash at one exact point, a clock that jumps. The product has no such switches, so a test brings its own.

Run as `python patched_service.py MODULE:FUNCTION…`: each function is called before the service starts.
"""

import importlib
import sys
from pathlib import Path

from waypost.cli.__main__ import main


def install(patches: list[str]) -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    for patch in patches:
        module, _, function = patch.partition(":")
        getattr(importlib.import_module(module), function)()


if __name__ == "__main__":
    install(sys.argv[1:])
    sys.argv = ["waypost", "serve"]
    main()
