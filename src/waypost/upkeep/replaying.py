"""Feeding running replays: a step for each, again and again, until their deliveries are all asked for and settled."""

from waypost.log import Log, units

STEPS_A_TURN = 16
WHILE_RUNNING_S = 0.2  # deliveries settle meanwhile, and make room for more
IDLE_S = 5.0  # another service may have been asked for one


class ReplayFeeding:
    """Takes the running replays of all accounts further."""

    def __init__(self, log_of_all: Log) -> None:
        self._log = log_of_all

    async def turn(self) -> float:
        """Take jobs a step further; give the seconds until there may be more to do."""
        fed = await self._log.replays_due()
        if fed.progress:  # while jobs wait for their deliveries alone, nobody who writes waits for a look at them
            fed = await self._log.do(units.feed_replays(STEPS_A_TURN))
        if fed.progress:
            return 0.0
        return WHILE_RUNNING_S if fed.running else IDLE_S
