"""The tables, for SQLite and PostgreSQL alike.

Every key begins with `account_id` and no statement joins two accounts, so the tables can be spread over machines by
account. The few small ones that a sign-in needs before any account is known (people, memberships, sessions, links,
passkeys) are for all accounts together: each machine would hold them whole. Instants are Unix microseconds. Texts
compare byte by byte on both databases: PostgreSQL is told so ("C"), or pages would be cut differently there. The schema
is changed by migrations alone; a test holds that they end up here.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql

PENDING_STATES = ("retrying", "waiting", "resend")
HEALTH_STATES = ("active", "failing", "suspended")
VERDICTS = ("delivered", "retrying", "failed")
INTAKE_STATES = ("accepted", "refused")
REPLAY_STATES = ("running", "done", "cancelled", "failed")
REPLAY_KINDS = ("failed", "missing", "all")
ROLES = ("owner", "manager", "viewer", "setup")
SESSION_KINDS = ("person", "operator", "portal", "setup")
LINK_KINDS = ("first_owner", "invitation", "password", "setup", "portal", "passkey")

TEXT = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
INSTANT = BigInteger()

metadata = MetaData()


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


accounts = Table(
    "accounts",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("settings", TEXT, nullable=False, comment="JSON of AccountSettings"),
    Column("position", BigInteger, nullable=False, comment="the last position given out; its row lock orders the log"),
    Column("created_at", INSTANT, nullable=False),
    Column("erased_at", INSTANT, comment="of the last erasure among its events"),
    PrimaryKeyConstraint("account_id", name="accounts_pk"),
    CheckConstraint("position >= 0", name="accounts_position_counts_up"),
    sqlite_with_rowid=False,
)
Index(
    "accounts_erased",
    accounts.c.erased_at,
    sqlite_where=text("erased_at IS NOT NULL"),
    postgresql_where=text("erased_at IS NOT NULL"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("token_id", TEXT, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, comment="SHA-256; the token itself is shown once and not kept"),
    Column("name", TEXT, nullable=False),
    Column("scopes", TEXT, nullable=False, comment="words with blanks between"),
    Column("operator", Boolean, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    Column("revoked_at", INSTANT),
    PrimaryKeyConstraint("account_id", "token_id", name="tokens_pk"),
    ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="tokens_account_fk"),
    sqlite_with_rowid=False,
)
Index("tokens_hash_once", tokens.c.token_hash, unique=True)

shipments = Table(
    "shipments",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("shipment_id", TEXT, nullable=False),
    Column("reference", TEXT, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False, comment="of its last event"),
    Column("revision", BigInteger),
    Column("status", TEXT, nullable=False),
    Column("condition", TEXT, nullable=False),
    Column("carrier", TEXT, comment="its id, or its name where it has no id"),
    Column("carrier_name", TEXT, comment="its name, where that is another than its id"),
    Column("created_at", INSTANT, nullable=False),
    Column("updated_at", INSTANT, nullable=False),
    Column("quiet_since", INSTANT, comment="no scan since then, which was not told; none where none is awaited"),
    Column("state", LargeBinary, nullable=False, comment="ShipmentState: all that is known of it"),
    PrimaryKeyConstraint("account_id", "shipment_id", name="shipments_pk"),
    UniqueConstraint("account_id", "reference", name="shipments_reference_once"),
    CheckConstraint("version >= 1", name="shipments_version_counts_from_one"),
    CheckConstraint("sequence >= 0", name="shipments_sequence_counts_up"),
)
Index("shipments_by_update", shipments.c.account_id, shipments.c.updated_at, shipments.c.shipment_id)
Index("shipments_by_status", shipments.c.account_id, shipments.c.status, shipments.c.shipment_id)
Index("shipments_by_carrier", shipments.c.account_id, shipments.c.carrier, shipments.c.shipment_id)
Index("shipments_by_carrier_name", shipments.c.account_id, shipments.c.carrier_name, shipments.c.shipment_id)
# Most shipments are fine: only those in trouble are worth finding by their condition.
Index(
    "shipments_in_trouble",
    shipments.c.account_id,
    shipments.c.condition,
    shipments.c.shipment_id,
    sqlite_where=text("condition <> 'ok'"),
    postgresql_where=text("condition <> 'ok'"),
)
Index(
    "shipments_quiet",
    shipments.c.account_id,
    shipments.c.quiet_since,
    shipments.c.shipment_id,
    sqlite_where=text("quiet_since IS NOT NULL"),
    postgresql_where=text("quiet_since IS NOT NULL"),
)

shipment_keys = Table(
    "shipment_keys",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("value", TEXT, nullable=False, comment="case-folded, cut to 255 characters"),
    Column("shipment_id", TEXT, nullable=False),
    Column("kind", TEXT, nullable=False, comment="reference, reference_value, tracking_number"),
    Column("carrier", TEXT, nullable=False, comment="of a tracking number; else empty"),
    PrimaryKeyConstraint("account_id", "value", "shipment_id", "kind", "carrier", name="shipment_keys_pk"),
    sqlite_with_rowid=False,
)
Index("shipment_keys_by_shipment", shipment_keys.c.account_id, shipment_keys.c.shipment_id, shipment_keys.c.value)

events = Table(
    "events",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("event_id", TEXT, nullable=False),
    Column("type", TEXT, nullable=False),
    Column("key", TEXT, nullable=False, comment="what orders it: a shipment's id, or the endpoint's for operations"),
    Column("sequence", BigInteger, nullable=False),
    Column("recorded_at", INSTANT, nullable=False),
    Column("body", LargeBinary, nullable=False, comment="the bytes that are signed and sent"),
    Column("erased_at", INSTANT, comment="when they were rewritten without personal data"),
    PrimaryKeyConstraint("account_id", "position", name="events_pk"),
    UniqueConstraint("account_id", "key", "sequence", name="events_sequence_once"),
    UniqueConstraint("account_id", "event_id", name="events_id_once"),
    CheckConstraint("position >= 1", name="events_position_counts_from_one"),
    CheckConstraint("sequence >= 1", name="events_sequence_counts_from_one"),
)
Index("events_by_type", events.c.account_id, events.c.type, events.c.position)
Index("events_by_time", events.c.account_id, events.c.recorded_at, events.c.position)
Index(
    "events_erased",
    events.c.account_id,
    events.c.erased_at,
    sqlite_where=text("erased_at IS NOT NULL"),
    postgresql_where=text("erased_at IS NOT NULL"),
)

event_keys = Table(
    "event_keys",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("sequence", BigInteger, nullable=False, comment="of the last event of a key that is no shipment"),
    PrimaryKeyConstraint("account_id", "key", name="event_keys_pk"),
    sqlite_with_rowid=False,
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("endpoint_id", TEXT, nullable=False),
    Column("settings", TEXT, nullable=False, comment="JSON of EndpointSettings, without what is sealed"),
    Column("sealed_settings", LargeBinary, nullable=False, comment="headers and auth, encrypted"),
    Column("start_position", BigInteger, nullable=False, comment="the first event it gets is the one after it"),
    Column("cursor", BigInteger, nullable=False, comment="every position up to it is settled or pending"),
    Column("paused_at", INSTANT),
    Column("health", TEXT, nullable=False),
    Column("health_reason", TEXT),
    Column("health_since", INSTANT, nullable=False),
    Column("health_version", BigInteger, nullable=False, comment="+1 when somebody resumes it"),
    Column("failures_in_a_row", BigInteger, nullable=False),
    Column("failing_since", INSTANT),
    Column("last_success_at", INSTANT),
    Column("held_until", INSTANT, comment="it asked to be left alone until then"),
    Column("hour", BigInteger, comment="since 1970, in which an attempt was last stored; those before stand apart"),
    Column("hour_counts", TEXT, comment="of that hour: at once, after a retry, retrying, failed; with blanks between"),
    Column("replay_of", TEXT, comment="of a replay's own endpoint: the endpoint whose events go to another URL"),
    Column("owner", TEXT, comment="the worker that delivers to it"),
    Column("epoch", BigInteger, nullable=False, comment="+1 with each owner; each of its writes names it"),
    Column("created_at", INSTANT, nullable=False),
    Column("updated_at", INSTANT, nullable=False),
    PrimaryKeyConstraint("account_id", "endpoint_id", name="endpoints_pk"),
    ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="endpoints_account_fk"),
    ForeignKeyConstraint(
        ["account_id", "replay_of"],
        ["endpoints.account_id", "endpoints.endpoint_id"],
        name="endpoints_replay_of_fk",
        ondelete="CASCADE",
    ),
    CheckConstraint(_one_of("health", HEALTH_STATES), name="endpoints_health_known"),
    CheckConstraint("cursor >= 0 AND start_position >= 0", name="endpoints_cursor_counts_up"),
    CheckConstraint("(hour IS NULL) = (hour_counts IS NULL)", name="endpoints_hour_whole"),
)
Index("endpoints_by_hour", endpoints.c.account_id, endpoints.c.hour)
# Most endpoints are fine: only the others are counted on each look at an account.
Index(
    "endpoints_in_trouble",
    endpoints.c.account_id,
    endpoints.c.endpoint_id,
    sqlite_where=text("paused_at IS NOT NULL OR health <> 'active'"),
    postgresql_where=text("paused_at IS NOT NULL OR health <> 'active'"),
)
Index("endpoints_by_owner", endpoints.c.owner, endpoints.c.account_id, endpoints.c.endpoint_id)
Index(
    "endpoints_of_replays",
    endpoints.c.account_id,
    endpoints.c.replay_of,
    sqlite_where=text("replay_of IS NOT NULL"),
    postgresql_where=text("replay_of IS NOT NULL"),
)

endpoint_versions = Table(
    "endpoint_versions",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("endpoint_id", TEXT, nullable=False),
    Column("from_position", BigInteger, nullable=False, comment="the first position it applies to"),
    Column("wants", TEXT, nullable=False, comment="JSON of Wants: patterns and filter"),
    PrimaryKeyConstraint("account_id", "endpoint_id", "from_position", name="endpoint_versions_pk"),
    ForeignKeyConstraint(
        ["account_id", "endpoint_id"],
        ["endpoints.account_id", "endpoints.endpoint_id"],
        name="endpoint_versions_endpoint_fk",
        ondelete="CASCADE",
    ),
    sqlite_with_rowid=False,
)

endpoint_secrets = Table(
    "endpoint_secrets",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("endpoint_id", TEXT, nullable=False),
    Column("secret_id", TEXT, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("public_key", TEXT, comment="of an Ed25519 key; none for a secret that is shared"),
    Column("created_at", INSTANT, nullable=False),
    Column("expires_at", INSTANT, comment="the end of the overlap; none while it is the newest"),
    PrimaryKeyConstraint("account_id", "endpoint_id", "secret_id", name="endpoint_secrets_pk"),
    ForeignKeyConstraint(
        ["account_id", "endpoint_id"],
        ["endpoints.account_id", "endpoints.endpoint_id"],
        name="endpoint_secrets_endpoint_fk",
        ondelete="CASCADE",
    ),
    sqlite_with_rowid=False,
)
Index(
    "endpoint_secrets_published",
    endpoint_secrets.c.account_id,
    endpoint_secrets.c.endpoint_id,
    endpoint_secrets.c.secret_id,
    sqlite_where=text("public_key IS NOT NULL"),
    postgresql_where=text("public_key IS NOT NULL"),
)

Index(
    "endpoint_secrets_ending",
    endpoint_secrets.c.account_id,
    endpoint_secrets.c.expires_at,
    sqlite_where=text("expires_at IS NOT NULL"),
    postgresql_where=text("expires_at IS NOT NULL"),
)

pending = Table(
    "pending",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("endpoint_id", TEXT, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("event_id", TEXT, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("due_at", INSTANT, comment="when it is tried again; none while it waits behind another"),
    Column("failures", Integer, nullable=False, comment="those that count against the schedule"),
    Column("attempts", BigInteger, nullable=False, comment="all of them"),
    Column("first_attempt_at", INSTANT),
    Column("last_attempt_at", INSTANT),
    Column("type", TEXT, nullable=False, comment="of the event"),
    Column("batch_id", TEXT, comment="of the batch it is part of, which goes out with the same events each time"),
    Column("replay_id", TEXT, comment="of the job that sends it again"),
    PrimaryKeyConstraint("account_id", "endpoint_id", "position", name="pending_pk"),
    ForeignKeyConstraint(
        ["account_id", "endpoint_id"],
        ["endpoints.account_id", "endpoints.endpoint_id"],
        name="pending_endpoint_fk",
        ondelete="CASCADE",
    ),
    CheckConstraint(_one_of("state", PENDING_STATES), name="pending_state_known"),
    CheckConstraint("state = 'waiting' OR due_at IS NOT NULL", name="pending_due_unless_waiting"),
    sqlite_with_rowid=False,
)
Index("pending_by_key", pending.c.account_id, pending.c.endpoint_id, pending.c.key, pending.c.position)

folded = Table(
    "folded",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("endpoint_id", TEXT, nullable=False),
    Column("position", BigInteger, nullable=False, comment="of an event that does not go out by itself"),
    Column("into_position", BigInteger, nullable=False, comment="of the newer event that it goes out with"),
    PrimaryKeyConstraint("account_id", "endpoint_id", "position", name="folded_pk"),
    ForeignKeyConstraint(
        ["account_id", "endpoint_id"],
        ["endpoints.account_id", "endpoints.endpoint_id"],
        name="folded_endpoint_fk",
        ondelete="CASCADE",
    ),
    CheckConstraint("into_position > position", name="folded_into_a_newer_one"),
    sqlite_with_rowid=False,
)
Index("folded_by_holder", folded.c.account_id, folded.c.endpoint_id, folded.c.into_position)

# No foreign key: attempts outlive their endpoint, and deleting an endpoint must not delete a million rows.
attempts = Table(
    "attempts",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("endpoint_id", TEXT, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("event_id", TEXT, nullable=False),
    Column("started_at", INSTANT, nullable=False),
    Column("verdict", TEXT, nullable=False),
    Column("outcome", TEXT, nullable=False),
    Column("status", Integer),
    Column("duration_us", BigInteger, nullable=False),
    Column("detail", LargeBinary, nullable=False, comment="JSON of the attempt, without the event's body"),
    PrimaryKeyConstraint("account_id", "endpoint_id", "position", "number", name="attempts_pk"),
    CheckConstraint(_one_of("verdict", VERDICTS), name="attempts_verdict_known"),
    CheckConstraint("number >= 1", name="attempts_number_counts_from_one"),
)
Index("attempts_by_verdict", attempts.c.account_id, attempts.c.endpoint_id, attempts.c.verdict, attempts.c.position)
Index(
    "attempts_by_time",
    attempts.c.account_id,
    attempts.c.endpoint_id,
    attempts.c.started_at,
    attempts.c.verdict,
    attempts.c.outcome,
    attempts.c.duration_us,
)

# What ended in each hour, counted when it was stored. No foreign key, as attempts have none.
delivery_hours = Table(
    "delivery_hours",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("hour", BigInteger, nullable=False, comment="since 1970, UTC"),
    Column("endpoint_id", TEXT, nullable=False),
    Column("at_once", BigInteger, nullable=False, comment="delivered at the first attempt"),
    Column("later", BigInteger, nullable=False, comment="delivered after a retry"),
    Column("retrying", BigInteger, nullable=False, comment="attempts that failed and are made again"),
    Column("failed", BigInteger, nullable=False, comment="final failures"),
    PrimaryKeyConstraint("account_id", "hour", "endpoint_id", name="delivery_hours_pk"),
    sqlite_with_rowid=False,
)

replays = Table(
    "replays",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("replay_id", TEXT, nullable=False),
    Column("endpoint_id", TEXT, nullable=False, comment="whose events go out again"),
    Column("target_id", TEXT, nullable=False, comment="the endpoint that sends them: the same, or the replay's own"),
    Column("which", TEXT, nullable=False),
    Column("asked", TEXT, nullable=False, comment="JSON of ReplayAsked"),
    Column("through", BigInteger, nullable=False, comment="the last position that it looks at"),
    Column("scanned", BigInteger, nullable=False, comment="every position up to it was looked at"),
    Column("matched", BigInteger, nullable=False, comment="counted when it was asked for"),
    Column("fed", BigInteger, nullable=False, comment="deliveries asked for, of which some may still be pending"),
    Column("state", TEXT, nullable=False),
    Column("state_reason", TEXT),
    Column("created_at", INSTANT, nullable=False),
    Column("stepped_at", INSTANT, nullable=False, comment="when it was fed last: jobs take turns"),
    Column("ended_at", INSTANT),
    PrimaryKeyConstraint("account_id", "replay_id", name="replays_pk"),
    ForeignKeyConstraint(
        ["account_id", "endpoint_id"],
        ["endpoints.account_id", "endpoints.endpoint_id"],
        name="replays_endpoint_fk",
        ondelete="CASCADE",
    ),
    CheckConstraint(_one_of("which", REPLAY_KINDS), name="replays_kind_known"),
    CheckConstraint(_one_of("state", REPLAY_STATES), name="replays_state_known"),
    CheckConstraint("(state = 'running') = (ended_at IS NULL)", name="replays_ended_unless_running"),
)
Index("replays_by_endpoint", replays.c.account_id, replays.c.endpoint_id, replays.c.replay_id)
Index(
    "replays_running",
    replays.c.stepped_at,
    replays.c.account_id,
    replays.c.replay_id,
    sqlite_where=text("state = 'running'"),
    postgresql_where=text("state = 'running'"),
)

event_types = Table(
    "event_types",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("type", TEXT, nullable=False),
    Column("title", TEXT, nullable=False),
    Column("description", TEXT, nullable=False),
    Column("schema", TEXT, nullable=False, comment="JSON Schema of the data"),
    Column("example", TEXT, comment="JSON of an example of the data"),
    Column("revision", BigInteger, nullable=False, comment="+1 with each change"),
    Column("created_at", INSTANT, nullable=False),
    Column("updated_at", INSTANT, nullable=False),
    PrimaryKeyConstraint("account_id", "type", name="event_types_pk"),
    ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="event_types_account_fk"),
    sqlite_with_rowid=False,
)

workers = Table(
    "workers",
    metadata,
    Column("owner", TEXT, nullable=False),
    Column("lease_until", INSTANT, nullable=False, comment="by the database's clock"),
    PrimaryKeyConstraint("owner", name="workers_pk"),
    sqlite_with_rowid=False,
)

# One row for everybody: what retention goes by.
clock_seen = Table(
    "clock_seen",
    metadata,
    Column("row_id", Integer, nullable=False, autoincrement=False),
    Column("believed", INSTANT, nullable=False, comment="the latest time that was believed"),
    Column("ahead_since", INSTANT, comment="since when the clock is further ahead than is believed"),
    Column("ahead_seen", INSTANT, comment="the latest time that it showed since"),
    PrimaryKeyConstraint("row_id", name="clock_seen_pk"),
    CheckConstraint("row_id = 1", name="clock_seen_once"),
    CheckConstraint("(ahead_since IS NULL) = (ahead_seen IS NULL)", name="clock_seen_ahead_whole"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("scope", LargeBinary, nullable=False, comment="SHA-256 of method, path and key"),
    Column("body_sha256", LargeBinary, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", TEXT, nullable=False, comment="JSON object"),
    Column("body", LargeBinary, nullable=False),
    Column("sealed", Boolean, nullable=False, comment="the body holds a secret and is encrypted"),
    Column("shipment_id", TEXT, comment="whose data the body holds, for erasure"),
    Column("created_at", INSTANT, nullable=False),
    PrimaryKeyConstraint("account_id", "scope", name="idempotency_pk"),
)
Index("idempotency_by_age", idempotency.c.account_id, idempotency.c.created_at)
Index(
    "idempotency_by_shipment",
    idempotency.c.account_id,
    idempotency.c.shipment_id,
    sqlite_where=text("shipment_id IS NOT NULL"),
    postgresql_where=text("shipment_id IS NOT NULL"),
)

sources = Table(
    "sources",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("source_id", TEXT, nullable=False),
    Column("kind", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("settings", TEXT, nullable=False, comment="JSON object"),
    Column("secret", LargeBinary, nullable=False, comment="encrypted"),
    Column("created_at", INSTANT, nullable=False),
    Column("updated_at", INSTANT, nullable=False),
    PrimaryKeyConstraint("account_id", "source_id", name="sources_pk"),
    ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="sources_account_fk"),
    sqlite_with_rowid=False,
)
Index("sources_id_once", sources.c.source_id, unique=True)

intake_messages = Table(
    "intake_messages",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("message_id", TEXT, nullable=False),
    Column("source_id", TEXT, nullable=False),
    Column("received_at", INSTANT, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("reason", TEXT, comment="why it was refused"),
    Column("body", LargeBinary, nullable=False, comment="as received"),
    Column("erased_at", INSTANT),
    PrimaryKeyConstraint("account_id", "message_id", name="intake_messages_pk"),
    CheckConstraint(_one_of("state", INTAKE_STATES), name="intake_messages_state_known"),
)
Index(
    "intake_messages_by_source", intake_messages.c.account_id, intake_messages.c.source_id, intake_messages.c.message_id
)
Index(
    "intake_messages_refused",
    intake_messages.c.account_id,
    intake_messages.c.message_id,
    sqlite_where=text("state = 'refused'"),
    postgresql_where=text("state = 'refused'"),
)
Index("intake_messages_by_age", intake_messages.c.account_id, intake_messages.c.received_at)

intake_shipments = Table(
    "intake_shipments",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("shipment_id", TEXT, nullable=False),
    Column("message_id", TEXT, nullable=False),
    PrimaryKeyConstraint("account_id", "shipment_id", "message_id", name="intake_shipments_pk"),
    sqlite_with_rowid=False,
)
Index("intake_shipments_by_message", intake_shipments.c.account_id, intake_shipments.c.message_id)

# A row for each account with an alert address.
alerts = Table(
    "alerts",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("position", BigInteger, nullable=False, comment="every operational event up to it was mailed"),
    Column("due_at", INSTANT, nullable=False, comment="no mail before; moved on by who is sending one"),
    Column("failures", Integer, nullable=False, comment="of the mail server, in a row"),
    PrimaryKeyConstraint("account_id", name="alerts_pk"),
    ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="alerts_account_fk"),
    sqlite_with_rowid=False,
)
Index("alerts_by_due", alerts.c.due_at)

expiry_notices = Table(
    "expiry_notices",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("endpoint_id", TEXT, nullable=False),
    Column("days_left", Integer, nullable=False, comment="the step of the warning; 0: events were given up"),
    Column("expires_at", INSTANT, nullable=False, comment="when the oldest owed event is given up, or was"),
    Column("events", BigInteger, nullable=False, comment="that were given up and not mailed yet"),
    Column("mailed", Boolean, nullable=False),
    PrimaryKeyConstraint("account_id", "endpoint_id", "days_left", name="expiry_notices_pk"),
    ForeignKeyConstraint(
        ["account_id", "endpoint_id"],
        ["endpoints.account_id", "endpoints.endpoint_id"],
        name="expiry_notices_endpoint_fk",
        ondelete="CASCADE",
    ),
    sqlite_with_rowid=False,
)

audit = Table(
    "audit",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("audit_id", TEXT, nullable=False),
    Column("recorded_at", INSTANT, nullable=False),
    Column("actor", TEXT, nullable=False, comment="the name, as it was then"),
    Column("actor_id", TEXT, nullable=False, comment="of the token, the person, the link or the portal's user"),
    Column("action", TEXT, nullable=False),
    Column("subject", TEXT, nullable=False, comment="the id of what it was done to"),
    Column("detail", TEXT, nullable=False, comment="in words, without any secret; else empty"),
    PrimaryKeyConstraint("account_id", "audit_id", name="audit_pk"),
    sqlite_with_rowid=False,
)
Index("audit_by_actor", audit.c.account_id, audit.c.actor_id, audit.c.audit_id)
Index("audit_by_action", audit.c.account_id, audit.c.action, audit.c.audit_id)
Index("audit_by_subject", audit.c.account_id, audit.c.subject, audit.c.audit_id)

people = Table(
    "people",
    metadata,
    Column("person_id", TEXT, nullable=False),
    Column("email", TEXT, nullable=False, comment="as it was typed"),
    Column("email_key", TEXT, nullable=False, comment="case-folded"),
    Column("name", TEXT, nullable=False),
    Column("password_hash", TEXT, comment="argon2id; none for who has only passkeys or an identity provider"),
    Column("identity", TEXT, comment="issuer and subject at the identity provider"),
    Column("language", TEXT),
    Column("time_zone", TEXT),
    Column("keys_off", Boolean, nullable=False, comment="single keys do nothing on pages"),
    Column("created_at", INSTANT, nullable=False),
    Column("signed_in_at", INSTANT),
    PrimaryKeyConstraint("person_id", name="people_pk"),
    sqlite_with_rowid=False,
)
Index("people_email_once", people.c.email_key, unique=True)
Index(
    "people_identity_once",
    people.c.identity,
    unique=True,
    sqlite_where=text("identity IS NOT NULL"),
    postgresql_where=text("identity IS NOT NULL"),
)

memberships = Table(
    "memberships",
    metadata,
    Column("account_id", TEXT, nullable=False),
    Column("person_id", TEXT, nullable=False),
    Column("role", TEXT, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    PrimaryKeyConstraint("account_id", "person_id", name="memberships_pk"),
    ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="memberships_account_fk"),
    ForeignKeyConstraint(["person_id"], ["people.person_id"], name="memberships_person_fk", ondelete="CASCADE"),
    CheckConstraint(_one_of("role", ROLES), name="memberships_role_known"),
    sqlite_with_rowid=False,
)
Index("memberships_by_person", memberships.c.person_id, memberships.c.account_id)

passkeys = Table(
    "passkeys",
    metadata,
    Column("credential_id", TEXT, nullable=False, comment="base64url"),
    Column("person_id", TEXT, nullable=False),
    Column("public_key", LargeBinary, nullable=False, comment="COSE"),
    Column("sign_count", BigInteger, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    Column("used_at", INSTANT),
    PrimaryKeyConstraint("credential_id", name="passkeys_pk"),
    ForeignKeyConstraint(["person_id"], ["people.person_id"], name="passkeys_person_fk", ondelete="CASCADE"),
    sqlite_with_rowid=False,
)
Index("passkeys_by_person", passkeys.c.person_id, passkeys.c.credential_id)

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", TEXT, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, comment="SHA-256 of what the cookie holds"),
    Column("kind", TEXT, nullable=False),
    Column("account_id", TEXT, nullable=False, comment="that its pages are about"),
    Column("person_id", TEXT),
    Column("role", TEXT, comment="of who is no person; a person's stands with the membership"),
    Column("name", TEXT, comment="of who is no person"),
    Column("actor_id", TEXT, nullable=False, comment="for the audit log"),
    Column("made", TEXT, nullable=False, comment="endpoints that a setup session made, with blanks between"),
    Column("client", TEXT, nullable=False, comment="browser and address, for the list of one's sessions"),
    Column("idle_s", BigInteger, nullable=False, comment="it ends when it was not used for so long"),
    Column("created_at", INSTANT, nullable=False),
    Column("seen_at", INSTANT, nullable=False, comment="to a few minutes"),
    Column("expires_at", INSTANT, nullable=False, comment="whatever it is used for"),
    PrimaryKeyConstraint("session_id", name="sessions_pk"),
    ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="sessions_account_fk"),
    ForeignKeyConstraint(["person_id"], ["people.person_id"], name="sessions_person_fk", ondelete="CASCADE"),
    CheckConstraint(_one_of("kind", SESSION_KINDS), name="sessions_kind_known"),
    CheckConstraint(_one_of("role", ROLES), name="sessions_role_known"),
    CheckConstraint(
        "(kind = 'person') = (person_id IS NOT NULL) AND (kind = 'person') = (role IS NULL)", name="sessions_whose"
    ),
    sqlite_with_rowid=False,
)
Index("sessions_token_once", sessions.c.token_hash, unique=True)
Index("sessions_by_person", sessions.c.person_id, sessions.c.session_id)
Index("sessions_by_actor", sessions.c.actor_id, sessions.c.session_id)
Index("sessions_by_end", sessions.c.expires_at)

links = Table(
    "links",
    metadata,
    Column("link_id", TEXT, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, comment="SHA-256 of what the link holds"),
    Column("kind", TEXT, nullable=False),
    Column("account_id", TEXT, nullable=False),
    Column("person_id", TEXT, comment="whose password it sets, or who adds a passkey"),
    Column("email", TEXT, comment="of who is invited"),
    Column("role", TEXT, comment="that it gives"),
    Column("user_id", TEXT, comment="of a portal's user, as the TMS knows it"),
    Column("name", TEXT, comment="of a portal's user"),
    Column("session_s", BigInteger, comment="how long the portal's session lasts"),
    Column("made_by", TEXT, nullable=False, comment="the name of who made it"),
    Column("created_at", INSTANT, nullable=False),
    Column("expires_at", INSTANT, nullable=False),
    Column("used_at", INSTANT, comment="it works once"),
    PrimaryKeyConstraint("link_id", name="links_pk"),
    ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="links_account_fk"),
    ForeignKeyConstraint(["person_id"], ["people.person_id"], name="links_person_fk", ondelete="CASCADE"),
    CheckConstraint(_one_of("kind", LINK_KINDS), name="links_kind_known"),
    CheckConstraint(_one_of("role", ROLES), name="links_role_known"),
    sqlite_with_rowid=False,
)
Index("links_token_once", links.c.token_hash, unique=True)
Index("links_by_account", links.c.account_id, links.c.kind, links.c.link_id)
Index("links_by_person", links.c.person_id, links.c.link_id)
Index("links_by_end", links.c.expires_at)
