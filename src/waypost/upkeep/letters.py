"""Single letters to people: an invitation, a link for another password. Handed in at once, and not tried again."""

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

import aiosmtplib

from waypost.dashboard.keeper import MailNotSent
from waypost.upkeep.alerting import Post


class Letters:
    """Sends letters in the name of this server."""

    def __init__(self, post: Post, *, sender: str) -> None:
        self._post = post
        self._sender = sender

    async def send(self, recipient: str, subject: str, text: str) -> None:
        """Hand in one letter. Raises MailNotSent when the mail server does not take it."""
        message = EmailMessage(policy=SMTP)
        try:
            message["From"] = Address(display_name="Waypost", addr_spec=self._sender)
            message["To"] = Address(addr_spec=recipient)
            message["Subject"] = " ".join(subject.split())
            message["Auto-Submitted"] = "auto-generated"
            message.set_content(f"{text}\n")
            await self._post.send(message)
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            raise MailNotSent(f"{type(error).__name__}: {error}") from error
