"""Telling accounts by e-mail what became of their endpoints and deliveries.

A mail that the server did not take is tried again, after a pause that grows to an hour, with what has happened since in
the same mail. Nothing of it is lost meanwhile, and nothing else waits for it.
"""

import asyncio
from email.message import EmailMessage
from typing import Protocol

import aiosmtplib
import structlog

from waypost.clock import Clock, to_micros
from waypost.errors import NotFound, Unavailable
from waypost.log import Log, alerts
from waypost.log.alerts import Alerts, DueAlert
from waypost.mail_server import MailServer
from waypost.upkeep.mail import compose

log = structlog.get_logger(__name__)

EVERY_S = 5.0
PAUSE_US = 60_000_000  # between two mails to one account
PAUSE_US_MAX = 3600_000_000
CLAIMED_US = 180_000_000  # longer than a mail can take
SEND_S_MAX = 60.0
GOODBYE_S_MAX = 5.0
ACCOUNTS_A_TURN = 50


class Post(Protocol):
    """Hands in a mail; raises what went wrong."""

    async def send(self, message: EmailMessage) -> None:
        """Hand in one mail, or raise OSError, TimeoutError or aiosmtplib's SMTPException."""
        ...


class SmtpPost:
    """Hands in mail at the operator's mail server, over a connection for each.

    `limit_s` bounds all of it together, from the name of the server to its word that it took the mail.
    """

    def __init__(self, server: MailServer, *, limit_s: float = SEND_S_MAX, goodbye_s: float = GOODBYE_S_MAX) -> None:
        self._server = server
        self._limit_s = limit_s
        self._goodbye_s = goodbye_s

    async def send(self, message: EmailMessage) -> None:
        """Hand in one mail. Raises OSError, TimeoutError or SMTPException."""
        client = connection(self._server, timeout_s=self._limit_s)
        try:
            async with asyncio.timeout(self._limit_s):
                await client.connect()
                await client.send_message(message)
            await self._leave(client)
        finally:
            client.close()

    async def _leave(self, client: aiosmtplib.SMTP) -> None:
        """Say goodbye, as is polite. The mail is handed in, whatever becomes of that."""
        try:
            async with asyncio.timeout(self._goodbye_s):
                await client.quit()
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            log.info("mail_server_left_without_goodbye", error=f"{type(error).__name__}: {error}")


def connection(server: MailServer, timeout_s: float) -> aiosmtplib.SMTP:
    """A connection to the mail server, to be entered; TLS and login as the setting says."""
    return aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        username=server.username,
        password=server.password,
        use_tls=server.tls == "from the start",
        start_tls={"always": True, "never": False}.get(server.tls),
        timeout=timeout_s,
    )


class Alerting:
    """Sends each account with an alert address what it is to know."""

    def __init__(self, log_of_all: Log, post: Post, clock: Clock, *, sender: str, public_url: str) -> None:
        self._log = log_of_all
        self._post = post
        self._clock = clock
        self._sender = sender
        self._public_url = public_url

    async def turn(self) -> float:
        """Send what is due now; give the seconds until the next look."""
        now_us = to_micros(self._clock.now())
        due = await self._log.look(lambda connection, _: alerts.read_due(connection, now_us, ACCOUNTS_A_TURN))
        for one in due:
            try:
                await self._tell(one)
            except Unavailable:
                raise
            except Exception:  # what is wrong with one account's mail must not keep the others' back
                log.exception("alert_broke", account_id=one.account_id)
        return 0.0 if len(due) == ACCOUNTS_A_TURN else EVERY_S

    async def _tell(self, due: DueAlert) -> None:
        if not await self._log.do(alerts.claim(due, CLAIMED_US)):
            return  # another service sends it
        now_us = to_micros(self._clock.now())
        try:
            told = await self._log.look(lambda connection, _: alerts.read_alerts(connection, due, now_us))
        except NotFound:
            return
        recipient = told.account.settings.alert_email
        if recipient is None or not (told.events or told.notices):
            return
        try:
            await self._post.send(self._message(due, told, recipient))
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            pause_us = min(PAUSE_US << min(due.failures, 10), PAUSE_US_MAX)
            await self._log.do(alerts.postpone(due, pause_us))
            log.warning(
                "alert_not_sent", account_id=due.account_id, error=f"{type(error).__name__}: {error}",
                again_in_s=pause_us // 1_000_000,
            )  # fmt: skip
            return
        await self._log.do(alerts.mailed(due, told, PAUSE_US))
        log.info("alert_sent", account_id=due.account_id, events=len(told.events), notices=len(told.notices))

    def _message(self, due: DueAlert, told: Alerts, recipient: str) -> EmailMessage:
        # Sent twice, it is the same mail for the mail programs that look.
        domain = self._sender.rpartition("@")[2]
        notices = "".join(
            f".{notice.endpoint.id}-{notice.days_left}-{to_micros(notice.expires_at)}" for notice in told.notices[:1]
        )
        message_id = f"<waypost.{due.account_id}.{due.position}-{told.position}{notices}@{domain}>"
        return compose(
            told, sender=self._sender, recipient=recipient, public_url=self._public_url, message_id=message_id
        )
