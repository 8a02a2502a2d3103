"""The first schema.

Locks: nothing that anybody uses, since every table is new.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("settings", TEXT, nullable=False, comment="JSON of AccountSettings"),
        sa.Column(
            "position",
            sa.BigInteger(),
            nullable=False,
            comment="the last position given out; its row lock orders the log",
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("erased_at", sa.BigInteger(), nullable=True, comment="of the last erasure among its events"),
        sa.CheckConstraint("position >= 0", name="accounts_position_counts_up"),
        sa.PrimaryKeyConstraint("account_id", name="accounts_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "accounts_erased",
        "accounts",
        ["erased_at"],
        unique=False,
        sqlite_where=sa.text("erased_at IS NOT NULL"),
        postgresql_where=sa.text("erased_at IS NOT NULL"),
    )
    op.create_table(
        "alerts",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="every operational event up to it was mailed"),
        sa.Column("due_at", sa.BigInteger(), nullable=False, comment="no mail before; moved on by who is sending one"),
        sa.Column("failures", sa.Integer(), nullable=False, comment="of the mail server, in a row"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="alerts_account_fk"),
        sa.PrimaryKeyConstraint("account_id", name="alerts_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("alerts_by_due", "alerts", ["due_at"], unique=False)
    op.create_table(
        "attempts",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("endpoint_id", TEXT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("event_id", TEXT, nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("verdict", TEXT, nullable=False),
        sa.Column("outcome", TEXT, nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("duration_us", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.LargeBinary(), nullable=False, comment="JSON of the attempt, without the event's body"),
        sa.CheckConstraint("verdict IN ('delivered', 'retrying', 'failed')", name="attempts_verdict_known"),
        sa.CheckConstraint("number >= 1", name="attempts_number_counts_from_one"),
        sa.PrimaryKeyConstraint("account_id", "endpoint_id", "position", "number", name="attempts_pk"),
    )
    op.create_index(
        "attempts_by_time",
        "attempts",
        ["account_id", "endpoint_id", "started_at", "verdict", "outcome", "duration_us"],
        unique=False,
    )
    op.create_index(
        "attempts_by_verdict", "attempts", ["account_id", "endpoint_id", "verdict", "position"], unique=False
    )
    op.create_table(
        "audit",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("audit_id", TEXT, nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("actor", TEXT, nullable=False, comment="the name, as it was then"),
        sa.Column("actor_id", TEXT, nullable=False, comment="of the token, the person, the link or the portal's user"),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False, comment="the id of what it was done to"),
        sa.Column("detail", TEXT, nullable=False, comment="in words, without any secret; else empty"),
        sa.PrimaryKeyConstraint("account_id", "audit_id", name="audit_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("audit_by_action", "audit", ["account_id", "action", "audit_id"], unique=False)
    op.create_index("audit_by_actor", "audit", ["account_id", "actor_id", "audit_id"], unique=False)
    op.create_index("audit_by_subject", "audit", ["account_id", "subject", "audit_id"], unique=False)
    op.create_table(
        "delivery_hours",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False, comment="since 1970, UTC"),
        sa.Column("endpoint_id", TEXT, nullable=False),
        sa.Column("at_once", sa.BigInteger(), nullable=False, comment="delivered at the first attempt"),
        sa.Column("later", sa.BigInteger(), nullable=False, comment="delivered after a retry"),
        sa.Column("retrying", sa.BigInteger(), nullable=False, comment="attempts that failed and are made again"),
        sa.Column("failed", sa.BigInteger(), nullable=False, comment="final failures"),
        sa.PrimaryKeyConstraint("account_id", "hour", "endpoint_id", name="delivery_hours_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "event_keys",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column(
            "sequence", sa.BigInteger(), nullable=False, comment="of the last event of a key that is no shipment"
        ),
        sa.PrimaryKeyConstraint("account_id", "key", name="event_keys_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "events",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("event_id", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column(
            "key", TEXT, nullable=False, comment="what orders it: a shipment's id, or the endpoint's for operations"
        ),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="the bytes that are signed and sent"),
        sa.Column(
            "erased_at", sa.BigInteger(), nullable=True, comment="when they were rewritten without personal data"
        ),
        sa.CheckConstraint("position >= 1", name="events_position_counts_from_one"),
        sa.CheckConstraint("sequence >= 1", name="events_sequence_counts_from_one"),
        sa.PrimaryKeyConstraint("account_id", "position", name="events_pk"),
        sa.UniqueConstraint("account_id", "event_id", name="events_id_once"),
        sa.UniqueConstraint("account_id", "key", "sequence", name="events_sequence_once"),
    )
    op.create_index("events_by_time", "events", ["account_id", "recorded_at", "position"], unique=False)
    op.create_index("events_by_type", "events", ["account_id", "type", "position"], unique=False)
    op.create_index(
        "events_erased",
        "events",
        ["account_id", "erased_at"],
        unique=False,
        sqlite_where=sa.text("erased_at IS NOT NULL"),
        postgresql_where=sa.text("erased_at IS NOT NULL"),
    )
    op.create_table(
        "idempotency",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("scope", sa.LargeBinary(), nullable=False, comment="SHA-256 of method, path and key"),
        sa.Column("body_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", TEXT, nullable=False, comment="JSON object"),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.Boolean(), nullable=False, comment="the body holds a secret and is encrypted"),
        sa.Column("shipment_id", TEXT, nullable=True, comment="whose data the body holds, for erasure"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "scope", name="idempotency_pk"),
    )
    op.create_index("idempotency_by_age", "idempotency", ["account_id", "created_at"], unique=False)
    op.create_index(
        "idempotency_by_shipment",
        "idempotency",
        ["account_id", "shipment_id"],
        unique=False,
        sqlite_where=sa.text("shipment_id IS NOT NULL"),
        postgresql_where=sa.text("shipment_id IS NOT NULL"),
    )
    op.create_table(
        "intake_messages",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("message_id", TEXT, nullable=False),
        sa.Column("source_id", TEXT, nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=True, comment="why it was refused"),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="as received"),
        sa.Column("erased_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('accepted', 'refused')", name="intake_messages_state_known"),
        sa.PrimaryKeyConstraint("account_id", "message_id", name="intake_messages_pk"),
    )
    op.create_index(
        "intake_messages_refused",
        "intake_messages",
        ["account_id", "message_id"],
        unique=False,
        sqlite_where=sa.text("state = 'refused'"),
        postgresql_where=sa.text("state = 'refused'"),
    )
    op.create_index("intake_messages_by_age", "intake_messages", ["account_id", "received_at"], unique=False)
    op.create_index(
        "intake_messages_by_source", "intake_messages", ["account_id", "source_id", "message_id"], unique=False
    )
    op.create_table(
        "intake_shipments",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("shipment_id", TEXT, nullable=False),
        sa.Column("message_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "shipment_id", "message_id", name="intake_shipments_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("intake_shipments_by_message", "intake_shipments", ["account_id", "message_id"], unique=False)
    op.create_table(
        "shipment_keys",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False, comment="case-folded, cut to 255 characters"),
        sa.Column("shipment_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False, comment="reference, reference_value, tracking_number"),
        sa.Column("carrier", TEXT, nullable=False, comment="of a tracking number; else empty"),
        sa.PrimaryKeyConstraint("account_id", "value", "shipment_id", "kind", "carrier", name="shipment_keys_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("shipment_keys_by_shipment", "shipment_keys", ["account_id", "shipment_id", "value"], unique=False)
    op.create_table(
        "shipments",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("shipment_id", TEXT, nullable=False),
        sa.Column("reference", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False, comment="of its last event"),
        sa.Column("revision", sa.BigInteger(), nullable=True),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("condition", TEXT, nullable=False),
        sa.Column("carrier", TEXT, nullable=True, comment="its id, or its name where it has no id"),
        sa.Column("carrier_name", TEXT, nullable=True, comment="its name, where that is another than its id"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "quiet_since",
            sa.BigInteger(),
            nullable=True,
            comment="no scan since then, which was not told; none where none is awaited",
        ),
        sa.Column("state", sa.LargeBinary(), nullable=False, comment="ShipmentState: all that is known of it"),
        sa.CheckConstraint("sequence >= 0", name="shipments_sequence_counts_up"),
        sa.CheckConstraint("version >= 1", name="shipments_version_counts_from_one"),
        sa.PrimaryKeyConstraint("account_id", "shipment_id", name="shipments_pk"),
        sa.UniqueConstraint("account_id", "reference", name="shipments_reference_once"),
    )
    op.create_index("shipments_by_carrier", "shipments", ["account_id", "carrier", "shipment_id"], unique=False)
    op.create_index(
        "shipments_by_carrier_name", "shipments", ["account_id", "carrier_name", "shipment_id"], unique=False
    )
    op.create_index("shipments_by_status", "shipments", ["account_id", "status", "shipment_id"], unique=False)
    op.create_index("shipments_by_update", "shipments", ["account_id", "updated_at", "shipment_id"], unique=False)
    op.create_index(
        "shipments_in_trouble",
        "shipments",
        ["account_id", "condition", "shipment_id"],
        unique=False,
        sqlite_where=sa.text("condition <> 'ok'"),
        postgresql_where=sa.text("condition <> 'ok'"),
    )
    op.create_index(
        "shipments_quiet",
        "shipments",
        ["account_id", "quiet_since", "shipment_id"],
        unique=False,
        sqlite_where=sa.text("quiet_since IS NOT NULL"),
        postgresql_where=sa.text("quiet_since IS NOT NULL"),
    )
    op.create_table(
        "clock_seen",
        sa.Column("row_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("believed", sa.BigInteger(), nullable=False, comment="the latest time that was believed"),
        sa.Column(
            "ahead_since",
            sa.BigInteger(),
            nullable=True,
            comment="since when the clock is further ahead than is believed",
        ),
        sa.Column("ahead_seen", sa.BigInteger(), nullable=True, comment="the latest time that it showed since"),
        sa.CheckConstraint("row_id = 1", name="clock_seen_once"),
        sa.CheckConstraint("(ahead_since IS NULL) = (ahead_seen IS NULL)", name="clock_seen_ahead_whole"),
        sa.PrimaryKeyConstraint("row_id", name="clock_seen_pk"),
    )
    op.create_table(
        "workers",
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False, comment="by the database's clock"),
        sa.PrimaryKeyConstraint("owner", name="workers_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "endpoints",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("endpoint_id", TEXT, nullable=False),
        sa.Column("settings", TEXT, nullable=False, comment="JSON of EndpointSettings, without what is sealed"),
        sa.Column("sealed_settings", sa.LargeBinary(), nullable=False, comment="headers and auth, encrypted"),
        sa.Column(
            "start_position", sa.BigInteger(), nullable=False, comment="the first event it gets is the one after it"
        ),
        sa.Column("cursor", sa.BigInteger(), nullable=False, comment="every position up to it is settled or pending"),
        sa.Column("paused_at", sa.BigInteger(), nullable=True),
        sa.Column("health", TEXT, nullable=False),
        sa.Column("health_reason", TEXT, nullable=True),
        sa.Column("health_since", sa.BigInteger(), nullable=False),
        sa.Column("health_version", sa.BigInteger(), nullable=False, comment="+1 when somebody resumes it"),
        sa.Column("failures_in_a_row", sa.BigInteger(), nullable=False),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.Column("last_success_at", sa.BigInteger(), nullable=True),
        sa.Column("held_until", sa.BigInteger(), nullable=True, comment="it asked to be left alone until then"),
        sa.Column(
            "hour",
            sa.BigInteger(),
            nullable=True,
            comment="since 1970, in which an attempt was last stored; those before stand apart",
        ),
        sa.Column(
            "hour_counts",
            TEXT,
            nullable=True,
            comment="of that hour: at once, after a retry, retrying, failed; with blanks between",
        ),
        sa.Column(
            "replay_of",
            TEXT,
            nullable=True,
            comment="of a replay's own endpoint: the endpoint whose events go to another URL",
        ),
        sa.Column("owner", TEXT, nullable=True, comment="the worker that delivers to it"),
        sa.Column("epoch", sa.BigInteger(), nullable=False, comment="+1 with each owner; each of its writes names it"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("health IN ('active', 'failing', 'suspended')", name="endpoints_health_known"),
        sa.CheckConstraint("cursor >= 0 AND start_position >= 0", name="endpoints_cursor_counts_up"),
        sa.CheckConstraint("(hour IS NULL) = (hour_counts IS NULL)", name="endpoints_hour_whole"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="endpoints_account_fk"),
        sa.ForeignKeyConstraint(
            ["account_id", "replay_of"],
            ["endpoints.account_id", "endpoints.endpoint_id"],
            name="endpoints_replay_of_fk",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", "endpoint_id", name="endpoints_pk"),
    )
    op.create_index("endpoints_by_hour", "endpoints", ["account_id", "hour"], unique=False)
    op.create_index("endpoints_by_owner", "endpoints", ["owner", "account_id", "endpoint_id"], unique=False)
    op.create_index(
        "endpoints_in_trouble",
        "endpoints",
        ["account_id", "endpoint_id"],
        unique=False,
        sqlite_where=sa.text("paused_at IS NOT NULL OR health <> 'active'"),
        postgresql_where=sa.text("paused_at IS NOT NULL OR health <> 'active'"),
    )
    op.create_index(
        "endpoints_of_replays",
        "endpoints",
        ["account_id", "replay_of"],
        unique=False,
        sqlite_where=sa.text("replay_of IS NOT NULL"),
        postgresql_where=sa.text("replay_of IS NOT NULL"),
    )
    op.create_table(
        "replays",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("replay_id", TEXT, nullable=False),
        sa.Column("endpoint_id", TEXT, nullable=False, comment="whose events go out again"),
        sa.Column(
            "target_id", TEXT, nullable=False, comment="the endpoint that sends them: the same, or the replay's own"
        ),
        sa.Column("which", TEXT, nullable=False),
        sa.Column("asked", TEXT, nullable=False, comment="JSON of ReplayAsked"),
        sa.Column("through", sa.BigInteger(), nullable=False, comment="the last position that it looks at"),
        sa.Column("scanned", sa.BigInteger(), nullable=False, comment="every position up to it was looked at"),
        sa.Column("matched", sa.BigInteger(), nullable=False, comment="counted when it was asked for"),
        sa.Column(
            "fed", sa.BigInteger(), nullable=False, comment="deliveries asked for, of which some may still be pending"
        ),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("state_reason", TEXT, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("stepped_at", sa.BigInteger(), nullable=False, comment="when it was fed last: jobs take turns"),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("which IN ('failed', 'missing', 'all')", name="replays_kind_known"),
        sa.CheckConstraint("state IN ('running', 'done', 'cancelled', 'failed')", name="replays_state_known"),
        sa.CheckConstraint("(state = 'running') = (ended_at IS NULL)", name="replays_ended_unless_running"),
        sa.ForeignKeyConstraint(
            ["account_id", "endpoint_id"],
            ["endpoints.account_id", "endpoints.endpoint_id"],
            name="replays_endpoint_fk",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", "replay_id", name="replays_pk"),
    )
    op.create_index("replays_by_endpoint", "replays", ["account_id", "endpoint_id", "replay_id"], unique=False)
    op.create_index(
        "replays_running",
        "replays",
        ["stepped_at", "account_id", "replay_id"],
        unique=False,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_table(
        "event_types",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("title", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("schema", TEXT, nullable=False, comment="JSON Schema of the data"),
        sa.Column("example", TEXT, nullable=True, comment="JSON of an example of the data"),
        sa.Column("revision", sa.BigInteger(), nullable=False, comment="+1 with each change"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="event_types_account_fk"),
        sa.PrimaryKeyConstraint("account_id", "type", name="event_types_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sources",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("source_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("settings", TEXT, nullable=False, comment="JSON object"),
        sa.Column("secret", sa.LargeBinary(), nullable=False, comment="encrypted"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="sources_account_fk"),
        sa.PrimaryKeyConstraint("account_id", "source_id", name="sources_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("sources_id_once", "sources", ["source_id"], unique=True)
    op.create_table(
        "tokens",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("token_id", TEXT, nullable=False),
        sa.Column(
            "token_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256; the token itself is shown once and not kept",
        ),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("scopes", TEXT, nullable=False, comment="words with blanks between"),
        sa.Column("operator", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="tokens_account_fk"),
        sa.PrimaryKeyConstraint("account_id", "token_id", name="tokens_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("tokens_hash_once", "tokens", ["token_hash"], unique=True)
    op.create_table(
        "endpoint_secrets",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("endpoint_id", TEXT, nullable=False),
        sa.Column("secret_id", TEXT, nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", TEXT, nullable=True, comment="of an Ed25519 key; none for a secret that is shared"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "expires_at", sa.BigInteger(), nullable=True, comment="the end of the overlap; none while it is the newest"
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "endpoint_id"],
            ["endpoints.account_id", "endpoints.endpoint_id"],
            name="endpoint_secrets_endpoint_fk",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", "endpoint_id", "secret_id", name="endpoint_secrets_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "endpoint_secrets_ending",
        "endpoint_secrets",
        ["account_id", "expires_at"],
        unique=False,
        sqlite_where=sa.text("expires_at IS NOT NULL"),
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
    op.create_index(
        "endpoint_secrets_published",
        "endpoint_secrets",
        ["account_id", "endpoint_id", "secret_id"],
        unique=False,
        sqlite_where=sa.text("public_key IS NOT NULL"),
        postgresql_where=sa.text("public_key IS NOT NULL"),
    )
    op.create_table(
        "endpoint_versions",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("endpoint_id", TEXT, nullable=False),
        sa.Column("from_position", sa.BigInteger(), nullable=False, comment="the first position it applies to"),
        sa.Column("wants", TEXT, nullable=False, comment="JSON of Wants: patterns and filter"),
        sa.ForeignKeyConstraint(
            ["account_id", "endpoint_id"],
            ["endpoints.account_id", "endpoints.endpoint_id"],
            name="endpoint_versions_endpoint_fk",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", "endpoint_id", "from_position", name="endpoint_versions_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pending",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("endpoint_id", TEXT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("event_id", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column(
            "due_at",
            sa.BigInteger(),
            nullable=True,
            comment="when it is tried again; none while it waits behind another",
        ),
        sa.Column("failures", sa.Integer(), nullable=False, comment="those that count against the schedule"),
        sa.Column("attempts", sa.BigInteger(), nullable=False, comment="all of them"),
        sa.Column("first_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("last_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("type", TEXT, nullable=False, comment="of the event"),
        sa.Column(
            "batch_id",
            TEXT,
            nullable=True,
            comment="of the batch it is part of, which goes out with the same events each time",
        ),
        sa.Column("replay_id", TEXT, nullable=True, comment="of the job that sends it again"),
        sa.CheckConstraint("state = 'waiting' OR due_at IS NOT NULL", name="pending_due_unless_waiting"),
        sa.CheckConstraint("state IN ('retrying', 'waiting', 'resend')", name="pending_state_known"),
        sa.ForeignKeyConstraint(
            ["account_id", "endpoint_id"],
            ["endpoints.account_id", "endpoints.endpoint_id"],
            name="pending_endpoint_fk",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", "endpoint_id", "position", name="pending_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("pending_by_key", "pending", ["account_id", "endpoint_id", "key", "position"], unique=False)
    op.create_table(
        "folded",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("endpoint_id", TEXT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="of an event that does not go out by itself"),
        sa.Column("into_position", sa.BigInteger(), nullable=False, comment="of the newer event that it goes out with"),
        sa.CheckConstraint("into_position > position", name="folded_into_a_newer_one"),
        sa.ForeignKeyConstraint(
            ["account_id", "endpoint_id"],
            ["endpoints.account_id", "endpoints.endpoint_id"],
            name="folded_endpoint_fk",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", "endpoint_id", "position", name="folded_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("folded_by_holder", "folded", ["account_id", "endpoint_id", "into_position"], unique=False)
    op.create_table(
        "expiry_notices",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("endpoint_id", TEXT, nullable=False),
        sa.Column(
            "days_left", sa.Integer(), nullable=False, comment="the step of the warning; 0: events were given up"
        ),
        sa.Column(
            "expires_at", sa.BigInteger(), nullable=False, comment="when the oldest owed event is given up, or was"
        ),
        sa.Column("events", sa.BigInteger(), nullable=False, comment="that were given up and not mailed yet"),
        sa.Column("mailed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "endpoint_id"],
            ["endpoints.account_id", "endpoints.endpoint_id"],
            name="expiry_notices_endpoint_fk",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", "endpoint_id", "days_left", name="expiry_notices_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "people",
        sa.Column("person_id", TEXT, nullable=False),
        sa.Column("email", TEXT, nullable=False, comment="as it was typed"),
        sa.Column("email_key", TEXT, nullable=False, comment="case-folded"),
        sa.Column("name", TEXT, nullable=False),
        sa.Column(
            "password_hash",
            TEXT,
            nullable=True,
            comment="argon2id; none for who has only passkeys or an identity provider",
        ),
        sa.Column("identity", TEXT, nullable=True, comment="issuer and subject at the identity provider"),
        sa.Column("language", TEXT, nullable=True),
        sa.Column("time_zone", TEXT, nullable=True),
        sa.Column("keys_off", sa.Boolean(), nullable=False, comment="single keys do nothing on pages"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("signed_in_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("person_id", name="people_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("people_email_once", "people", ["email_key"], unique=True)
    op.create_index(
        "people_identity_once",
        "people",
        ["identity"],
        unique=True,
        sqlite_where=sa.text("identity IS NOT NULL"),
        postgresql_where=sa.text("identity IS NOT NULL"),
    )
    op.create_table(
        "memberships",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("person_id", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "person_id", name="memberships_pk"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="memberships_account_fk"),
        sa.ForeignKeyConstraint(["person_id"], ["people.person_id"], name="memberships_person_fk", ondelete="CASCADE"),
        sa.CheckConstraint("role IN ('owner', 'manager', 'viewer', 'setup')", name="memberships_role_known"),
        sqlite_with_rowid=False,
    )
    op.create_index("memberships_by_person", "memberships", ["person_id", "account_id"], unique=False)
    op.create_table(
        "passkeys",
        sa.Column("credential_id", TEXT, nullable=False, comment="base64url"),
        sa.Column("person_id", TEXT, nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False, comment="COSE"),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("credential_id", name="passkeys_pk"),
        sa.ForeignKeyConstraint(["person_id"], ["people.person_id"], name="passkeys_person_fk", ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.create_index("passkeys_by_person", "passkeys", ["person_id", "credential_id"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("session_id", TEXT, nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False, comment="SHA-256 of what the cookie holds"),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("account_id", TEXT, nullable=False, comment="that its pages are about"),
        sa.Column("person_id", TEXT, nullable=True),
        sa.Column("role", TEXT, nullable=True, comment="of who is no person; a person's stands with the membership"),
        sa.Column("name", TEXT, nullable=True, comment="of who is no person"),
        sa.Column("actor_id", TEXT, nullable=False, comment="for the audit log"),
        sa.Column("made", TEXT, nullable=False, comment="endpoints that a setup session made, with blanks between"),
        sa.Column("client", TEXT, nullable=False, comment="browser and address, for the list of one's sessions"),
        sa.Column("idle_s", sa.BigInteger(), nullable=False, comment="it ends when it was not used for so long"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False, comment="to a few minutes"),
        sa.Column("expires_at", sa.BigInteger(), nullable=False, comment="whatever it is used for"),
        sa.PrimaryKeyConstraint("session_id", name="sessions_pk"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="sessions_account_fk"),
        sa.ForeignKeyConstraint(["person_id"], ["people.person_id"], name="sessions_person_fk", ondelete="CASCADE"),
        sa.CheckConstraint("kind IN ('person', 'operator', 'portal', 'setup')", name="sessions_kind_known"),
        sa.CheckConstraint("role IN ('owner', 'manager', 'viewer', 'setup')", name="sessions_role_known"),
        sa.CheckConstraint(
            "(kind = 'person') = (person_id IS NOT NULL) AND (kind = 'person') = (role IS NULL)", name="sessions_whose"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("sessions_token_once", "sessions", ["token_hash"], unique=True)
    op.create_index("sessions_by_person", "sessions", ["person_id", "session_id"], unique=False)
    op.create_index("sessions_by_actor", "sessions", ["actor_id", "session_id"], unique=False)
    op.create_index("sessions_by_end", "sessions", ["expires_at"], unique=False)
    op.create_table(
        "links",
        sa.Column("link_id", TEXT, nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False, comment="SHA-256 of what the link holds"),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("person_id", TEXT, nullable=True, comment="whose password it sets, or who adds a passkey"),
        sa.Column("email", TEXT, nullable=True, comment="of who is invited"),
        sa.Column("role", TEXT, nullable=True, comment="that it gives"),
        sa.Column("user_id", TEXT, nullable=True, comment="of a portal's user, as the TMS knows it"),
        sa.Column("name", TEXT, nullable=True, comment="of a portal's user"),
        sa.Column("session_s", sa.BigInteger(), nullable=True, comment="how long the portal's session lasts"),
        sa.Column("made_by", TEXT, nullable=False, comment="the name of who made it"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True, comment="it works once"),
        sa.PrimaryKeyConstraint("link_id", name="links_pk"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="links_account_fk"),
        sa.ForeignKeyConstraint(["person_id"], ["people.person_id"], name="links_person_fk", ondelete="CASCADE"),
        sa.CheckConstraint(
            "kind IN ('first_owner', 'invitation', 'password', 'setup', 'portal', 'passkey')", name="links_kind_known"
        ),
        sa.CheckConstraint("role IN ('owner', 'manager', 'viewer', 'setup')", name="links_role_known"),
        sqlite_with_rowid=False,
    )
    op.create_index("links_token_once", "links", ["token_hash"], unique=True)
    op.create_index("links_by_account", "links", ["account_id", "kind", "link_id"], unique=False)
    op.create_index("links_by_person", "links", ["person_id", "link_id"], unique=False)
    op.create_index("links_by_end", "links", ["expires_at"], unique=False)
