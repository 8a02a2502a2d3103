"""The audit log: who did what that a person may later ask about."""

from sqlalchemy import insert

from waypost.ids import AccountId
from waypost.log.tables import audit
from waypost.log.transaction import Tx


def record(tx: Tx, account_id: AccountId, *, actor: str, action: str, subject: str) -> None:
    """Write down, with the rest of the transaction, that `actor` did `action` to `subject`."""
    row = {
        "account_id": account_id,
        "audit_id": tx.ids.new("aud_", tx.now),
        "recorded_at": tx.now_us,
        "actor": actor,
        "action": action,
        "subject": subject,
    }
    tx.connection.execute(insert(audit), row)
