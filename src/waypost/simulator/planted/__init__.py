"""Bugs that are put back into the product to see whether the simulator finds them: the test of the test.

`PLANTED` names them all. `apply` of one is a context manager: within it the real product code has that bug.
"""

from collections.abc import Mapping

from waypost.simulator.planted import in_the_engine, in_the_log, in_the_shell
from waypost.simulator.planted.planting import Planted

__all__ = ["PLANTED", "Planted"]

PLANTED: Mapping[str, Planted] = {bug.name: bug for bug in (*in_the_log.ALL, *in_the_shell.ALL, *in_the_engine.ALL)}
