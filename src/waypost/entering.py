"""How people get in to the pages of one service, put together from its settings."""

from datetime import datetime

import msgspec

from waypost.dashboard.keeper import Entrance
from waypost.dashboard.provider import IdentityProvider, ProviderAway
from waypost.delivery.headers import USER_AGENT
from waypost.delivery.result import SendRequest
from waypost.delivery.sender import Sender
from waypost.log import Log, links, people
from waypost.log.accounts import DEFAULT_ACCOUNT
from waypost.log.auditing import Actor
from waypost.log.links import NewLink
from waypost.mail_server import read_mail_server
from waypost.settings import Settings
from waypost.upkeep.alerting import SmtpPost
from waypost.upkeep.letters import Letters

PROVIDER_S_MAX = 10.0
PROVIDER_POOL = "identity provider"
PROVIDER_PATH = "/sign-in/provider/back"


class FirstLink(msgspec.Struct, frozen=True):
    """The link that lets the first owner in."""

    url: str
    expires_at: datetime


def entrance_of(settings: Settings, sender: Sender) -> Entrance:
    """Give what the settings say about getting in. An identity provider is reached through `sender`."""
    send_mail = None
    if settings.smtp_url is not None:
        server = read_mail_server(settings.smtp_url, settings.public_url)
        send_mail = Letters(SmtpPost(server), sender=server.sender).send
    provider = None
    if settings.oidc_issuer is not None:
        provider = IdentityProvider(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id or "",
            client_secret=settings.oidc_client_secret or "",
            redirect_url=settings.public_url + PROVIDER_PATH,
            fetch=Fetching(sender).fetch,
        )
    return Entrance(
        trusted_proxies=settings.trusted_proxies,
        send_mail=send_mail,
        provider=provider,
        retention_days=settings.retention_days,
        retention_days_owed=settings.retention_days_owed,
    )


async def first_link(log: Log, public_url: str) -> FirstLink | None:
    """Give a link for the first owner while nobody can sign in, else None. It replaces the one before."""
    if await log.look(lambda connection, _: people.has_people(connection)):
        return None
    new = NewLink(kind="first_owner", account_id=DEFAULT_ACCOUNT, made_by=Actor("waypost", "start"), role="owner")
    made = await log.do(links.make_link(new))
    return FirstLink(f"{public_url}/join/{made.token}", made.link.expires_at)


class Fetching:
    """Makes requests to the identity provider through the one connector, to vetted addresses."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def fetch(self, method: str, url: str, headers: dict[str, str], body: bytes) -> bytes:
        """Make one request and give the body of a 2xx answer. Raises ProviderAway."""
        request = SendRequest(
            url=url,
            headers={**headers, "user-agent": USER_AGENT},
            body=body,
            timeout_s=PROVIDER_S_MAX,
            pool_key=PROVIDER_POOL,
            method="GET" if method == "GET" else "POST",
        )
        result = await self._sender.send(request)
        if result.outcome != "success":
            raise ProviderAway(f"{result.outcome} {result.status or ''} {result.error_text or ''}".strip())
        return result.response_body
