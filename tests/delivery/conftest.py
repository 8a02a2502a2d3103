import asyncio

import pytest
import uvloop

from delivery.receivers import Authority

ON_BOTH_LOOPS = {"test_sender", "test_identity"}


def pytest_asyncio_loop_factories(config, item):
    """Run what touches sockets on both loops: `serve` uses uvloop, other programs the standard one."""
    factories = {"asyncio": asyncio.new_event_loop}
    if item.module.__name__.rpartition(".")[2] in ON_BOTH_LOOPS:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()
