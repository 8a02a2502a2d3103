"""The loops of one service, put together from its settings."""

from waypost.clock import Clock
from waypost.log import Committed, Log
from waypost.log.keeping import Ages
from waypost.mail_server import read_mail_server
from waypost.settings import Settings, without_password
from waypost.upkeep.alerting import Alerting, SmtpPost
from waypost.upkeep.loops import Loop, Loops
from waypost.upkeep.marking import Marking
from waypost.upkeep.replaying import ReplayFeeding
from waypost.upkeep.rewriting import Rewriting, Told
from waypost.upkeep.silence import Silence
from waypost.upkeep.sweep import Sweep


class Upkeep:
    """All that a service does beside accepting and delivering. `run` it until the service ends."""

    def __init__(self, settings: Settings, log: Log, clock: Clock, rewritten: Told) -> None:
        """`rewritten` is told of events that an erasure of another service rewrote."""
        ages = Ages(settings.retention_days, settings.retention_days_owed)
        self._feeding = Loop("replays", ReplayFeeding(log).turn)
        marking = Marking(log, settings.data_dir, without_password(settings.database_url))
        loops = [Loop("mark", marking.turn), Loop("retention", Sweep(log, ages, clock).turn), self._feeding]
        loops.append(Loop("silence", Silence(log, clock).turn))
        if settings.smtp_url is not None:
            server = read_mail_server(settings.smtp_url, settings.public_url)
            alerting = Alerting(log, SmtpPost(server), clock, sender=server.sender, public_url=settings.public_url)
            loops.append(Loop("alerts", alerting.turn))
        if not settings.is_sqlite:
            loops.append(Loop("erasures", Rewriting(log, clock, rewritten).turn))
        self._loops = Loops(loops)

    async def run(self) -> None:
        """Run every loop until cancelled."""
        await self._loops.run()

    def ready(self) -> bool:
        """Whether every loop is alive."""
        return self._loops.ready()

    def committed(self, committed: Committed) -> None:
        """Take in what a commit changed: a replay that was asked for begins at once."""
        if committed.replays:
            self._feeding.wake()
