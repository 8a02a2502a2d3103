"""One request of a person to a page: who asks, on whose account, in which language and time zone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from litestar import Request, Response
from litestar.datastructures import Cookie, State
from litestar.response import Redirect

from waypost.api.inside import Inside, Values
from waypost.api.operations import SCOPES, Access
from waypost.api.services import Services
from waypost.dashboard.framing import headers_for
from waypost.dashboard.keeper import Keeper
from waypost.dashboard.pulses import Pulses
from waypost.dashboard.rendering import HEADERS, Renderer
from waypost.dashboard.words import Words
from waypost.errors import Forbidden
from waypost.ids import AccountId
from waypost.log import Log, Principal
from waypost.log.sessions import Role, Session, note_made

PageRequest = Request[Any, Any, State]

SAID_COOKIE, SAID_S = "waypost_said", 30  # read and taken away by the script of the next page

# What a role may do, as the scopes of the API.
SCOPES_OF: Mapping[Role, frozenset[str]] = {
    "owner": frozenset(SCOPES),
    "manager": frozenset(SCOPES),
    "viewer": frozenset({Access.READ.value}),
    "setup": frozenset({Access.READ.value, Access.ENDPOINTS.value}),
}
# What is an operator's in the API and an owner's on a page: only ever on the owner's own account.
OWNER_OPERATIONS = frozenset(
    {"get_account", "patch_account", "create_token", "list_tokens", "revoke_token", "list_audit"}
)

# What the link to add an endpoint leads to, and what may be done there: to the endpoints made in the same session.
SETUP_PATHS = frozenset(
    {
        "/settings/integrations/webhooks/new",
        "/settings/integrations/webhooks/check",
        "/settings/integrations/webhooks/example",
        "/sign-out",
        "/theme.css",
    }
)
SETUP_OPERATIONS = frozenset({"create_endpoint", "list_endpoints", "list_event_types", "get_event_type"})
SETUP_OPERATIONS_OWN = frozenset(
    {"get_endpoint", "patch_endpoint", "delete_endpoint", "test_endpoint", "resume_endpoint"}
)
SETUP_ENDPOINTS_MAX = 10


@dataclass(frozen=True, slots=True)
class Frame:
    """What every page stands on; made once."""

    inside: Inside
    renderer: Renderer
    keeper: Keeper
    pulses: Pulses

    @property
    def services(self) -> Services:
        """The parts of the service."""
        return self.inside.shared.services


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request by somebody who is signed in."""

    frame: Frame
    request: PageRequest
    session: Session
    words: Words
    zone: ZoneInfo
    now: datetime
    csrf: str
    accounts: Sequence[tuple[AccountId, str]] = ()
    """The accounts that the person may switch to, this one included: id and name."""
    troubles: int = 0
    """How many endpoints are failing or suspended, for the sidebar."""
    has_accent: bool = False
    """Whether the session brings a colour of its own, as a portal's may."""

    made: list[str] = field(default_factory=list)
    """The endpoints made in this request, by who may touch no others."""

    @property
    def account_id(self) -> AccountId:
        """The account that the page is about."""
        return self.session.account_id

    @property
    def log(self) -> Log:
        """The log, for what only pages ask of it."""
        return self.frame.services.log

    @property
    def principal(self) -> Principal:
        """The person as the API sees them: their name stands in the audit log."""
        session = self.session
        return Principal(session.account_id, session.actor_id, session.name, SCOPES_OF[session.role], False)

    def may(self, scope: str) -> bool:
        """Whether the person may do what needs this scope of the API, or `owner`."""
        if scope == "owner":
            return self.session.role == "owner"
        return scope in SCOPES_OF[self.session.role]

    def require(self, scope: str) -> None:
        """Refuse with Forbidden who may not."""
        if not self.may(scope):
            raise Forbidden(self.words("Your role does not allow this. Ask an owner of the account."))

    async def call(
        self,
        operation: str,
        *,
        path: Mapping[str, str] | None = None,
        query: Values | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Do an operation of the API as this person; give its answer, decoded. Raises its CallerError."""
        principal = self.principal
        if self.session.role == "setup":
            self._check_setup(operation, path or {})
        if operation in OWNER_OPERATIONS:
            self.require("owner")
            path = {**(path or {}), "id": self.account_id}  # never another account, whatever a form says
            principal = Principal(
                principal.account_id, principal.token_id, principal.name, principal.scopes, operator=True
            )
        answer = await self.frame.inside.call(
            operation,
            principal,
            self.account_id,
            path=path,
            query=query,
            body=body,
            headers=headers,
            request_id=str(self.request.scope.get("waypost.request_id", "")),
        )
        if self.session.role == "setup":
            answer = await self._after_setup(operation, answer)
        return answer

    def _check_setup(self, operation: str, path: Mapping[str, str]) -> None:
        """Refuse what is more than to add an endpoint."""
        made = (*self.session.made, *self.made)
        allowed = operation in SETUP_OPERATIONS or (operation in SETUP_OPERATIONS_OWN and path.get("id") in made)
        if not allowed or (operation == "create_endpoint" and len(made) >= SETUP_ENDPOINTS_MAX):
            raise Forbidden(self.words("This link can only add an endpoint."))

    async def _after_setup(self, operation: str, answer: Any) -> Any:
        """Keep which endpoint was made, and show no others."""
        if operation == "create_endpoint":
            self.made.append(answer["id"])
            await self.log.do(note_made(self.session.session_id, answer["id"]))
        elif operation == "list_endpoints":
            made = (*self.session.made, *self.made)
            return {**answer, "items": [endpoint for endpoint in answer["items"] if endpoint["id"] in made]}
        return answer

    @property
    def is_fragment(self) -> bool:
        """Whether htmx asks for a part of a page (and not for a whole one, as when it follows a link)."""
        headers = self.request.headers
        return headers.get("hx-request") == "true" and headers.get("hx-boosted") != "true"

    def page(self, template: str, /, *, status: int = 200, **context: Any) -> Response[str]:
        """Give a page, or a part of one, made from a template. Templates see `visit` and the context."""
        page = self.frame.renderer.page(template, self.words, self.zone, status=status, visit=self, **context)
        page.headers.update(headers_for(self.session.portal))
        return page

    def go(self, path: str, *, said: str | None = None) -> Response[Any]:
        """Lead to another page of ours after something was done; `said` is shown there, once, in a toast."""
        if self.request.headers.get("hx-request") == "true":
            answer: Response[Any] = Response("", headers={**HEADERS, "hx-redirect": path})
        else:
            answer = Redirect(path, status_code=303, headers=HEADERS)
        if said:
            answer.set_cookie(Cookie(key=SAID_COOKIE, value=quote(said), path="/", max_age=SAID_S, samesite="lax"))
        return answer
