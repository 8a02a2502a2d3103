"""Who is signed in: people with a role in an account, the operator, and a TMS's users who came by a portal link."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from waypost.ids import AccountId

Role = Literal["owner", "manager", "viewer", "setup"]
SessionKind = Literal["person", "operator", "portal", "setup"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that is alive. `name` stands in the audit log for what is done in it."""

    session_id: str
    account_id: AccountId
    account_name: str
    kind: SessionKind
    role: Role
    name: str
    person_id: str | None
    language: str | None
    time_zone: str | None
    created_at: datetime
    expires_at: datetime
