"""Everything that changes the log beside a report: each function makes a unit of work, for `Log.do` or `Log.do_once`.

Some read inside a unit, for those that make new settings out of the old ones: `read_account`, `read_endpoint`.
"""

from waypost.ids import AccountId, EndpointId
from waypost.log import accounts, endpoints, own_events
from waypost.log.accounts import change_account, create_account, create_token, ensure_operator, revoke_token
from waypost.log.endpoints import (
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    pause_endpoint,
    resume_endpoint,
    reveal_secret,
    rotate_secret,
)
from waypost.log.leases import persist, release_leases, renew_lease, take_leases
from waypost.log.own_events import delete_type, post_event, put_type
from waypost.log.records import Account, EndpointRecord
from waypost.log.replays import cancel_replay, create_replay, feed_replays
from waypost.log.resending import resend
from waypost.log.sources import change_source, create_source, delete_source, refuse_message, take_message
from waypost.log.transaction import Tx, refusal

__all__ = [
    "cancel_replay",
    "change_account",
    "change_endpoint",
    "change_source",
    "create_account",
    "create_endpoint",
    "create_replay",
    "create_source",
    "create_token",
    "delete_endpoint",
    "delete_source",
    "delete_type",
    "ensure_operator",
    "feed_replays",
    "pause_endpoint",
    "persist",
    "post_event",
    "put_type",
    "read_account",
    "read_endpoint",
    "read_own_type_names",
    "refusal",
    "refuse_message",
    "release_leases",
    "renew_lease",
    "resend",
    "resume_endpoint",
    "reveal_secret",
    "revoke_token",
    "rotate_secret",
    "take_leases",
    "take_message",
]


def read_account(tx: Tx, account_id: AccountId) -> Account:
    """Give an account as the unit sees it, or raise NotFound."""
    return accounts.read_account(tx.connection, account_id)


def read_endpoint(tx: Tx, account_id: AccountId, endpoint_id: EndpointId) -> EndpointRecord:
    """Give an endpoint as the unit sees it, or raise NotFound."""
    return endpoints.read_endpoint(tx.connection, tx.vault, account_id, endpoint_id)


def read_own_type_names(tx: Tx, account_id: AccountId) -> frozenset[str]:
    """Give the names of the account's own types of event as the unit sees them."""
    return own_events.type_names(tx.connection, account_id)
