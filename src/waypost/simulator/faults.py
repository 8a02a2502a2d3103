"""Every harm that a world can do, by name. A configuration gives each that is on a ratio between 0 and 1.

What the ratio is of stands with each: of commits, of requests, of messages between processes; or of *slots*, the 24
equal parts of a run, so that a run of minutes and one of weeks see about as many crashes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

SLOTS = 24


class Of(Enum):
    """What a ratio is of."""

    COMMIT = "commits"
    READ = "reads"
    REQUEST = "requests"
    NOTICE = "notices between processes"
    REPORT = "reports"
    SLOT = "slots of the run"
    RECEIVER_SLOT = "slots of each receiver"


@dataclass(frozen=True, slots=True)
class Harm:
    """A harm: what its ratio is of, what happens in plain words, and the ratios that runs draw from."""

    of: Of
    words: str
    ratio_max: float


HARMS: Mapping[str, Harm] = {
    # -- the store
    "commit_fails": Harm(Of.COMMIT, "a commit fails and nothing is stored", 0.05),
    "commit_lies": Harm(Of.COMMIT, "a commit is done and reported as failed", 0.05),
    "deadlock": Harm(Of.COMMIT, "a transaction is refused before anything is done", 0.05),
    "slow_commit": Harm(Of.COMMIT, "a commit takes seconds", 0.03),
    "read_fails": Harm(Of.READ, "a read fails", 0.05),
    "slow_read": Harm(Of.READ, "a read takes seconds", 0.03),
    "database_away": Harm(Of.SLOT, "the database is away for a while", 0.3),
    "connection_cut": Harm(Of.SLOT, "one process cannot reach the database for longer than its lease", 0.3),
    # -- processes
    "crash_before_commit": Harm(Of.COMMIT, "a process dies right before its commit", 0.01),
    "crash_after_commit": Harm(Of.COMMIT, "a process dies after its commit, before it hears the answer", 0.01),
    "crash_before_send": Harm(Of.REQUEST, "a process dies right before it sends", 0.02),
    "crash_after_send": Harm(Of.REQUEST, "a process dies while the answer to its request is under way", 0.02),
    "crash_any_time": Harm(Of.SLOT, "a process dies at some moment", 0.6),
    "stop": Harm(Of.SLOT, "a process is told to stop (SIGTERM) and starts again", 0.5),
    "process_paused": Harm(Of.SLOT, "a process stands still for longer than its lease", 0.4),
    "process_starved": Harm(Of.SLOT, "a process gets no processor for moments", 0.5),
    # -- clocks
    "clock_skew": Harm(Of.SLOT, "a machine's wall clock is wrong from the start", 1.0),
    "clock_drift": Harm(Of.SLOT, "a machine's wall clock goes too fast or too slow", 1.0),
    "clock_steps": Harm(Of.SLOT, "a machine's wall clock is set, by a second, an hour or ten years", 0.4),
    "clock_frozen": Harm(Of.SLOT, "a machine's wall clock stands still for a while", 0.2),
    "database_clock_steps": Harm(Of.SLOT, "the database's clock is set forward, so that leases lapse early", 0.15),
    # -- notices between processes
    "notice_late": Harm(Of.NOTICE, "word that the log grew comes seconds late", 0.2),
    "notice_twice": Harm(Of.NOTICE, "word that the log grew comes twice", 0.2),
    "notice_lost": Harm(Of.NOTICE, "word that the log grew never comes", 0.2),
    # -- the network
    "dns_fails": Harm(Of.REQUEST, "the receiver's name has no address", 0.05),
    "dns_slow": Harm(Of.REQUEST, "the name takes seconds to resolve", 0.05),
    "refused": Harm(Of.REQUEST, "the connection is refused", 0.1),
    "connect_hangs": Harm(Of.REQUEST, "the connection is never answered", 0.05),
    "reset_before": Harm(Of.REQUEST, "the connection is reset before the request arrives", 0.1),
    "reset_in_body": Harm(Of.REQUEST, "the connection is reset in the middle of the request", 0.05),
    "reset_after": Harm(Of.REQUEST, "the request arrives, and the connection is reset before the answer", 0.1),
    "answer_lost": Harm(Of.REQUEST, "the request arrives, and the answer never does", 0.05),
    "answer_late": Harm(Of.REQUEST, "the answer comes after the deadline", 0.05),
    "answer_garbled": Harm(Of.REQUEST, "the answer is not HTTP", 0.05),
    "stale_connection": Harm(Of.REQUEST, "the pooled connection turns out to be closed", 0.2),
    # -- receivers
    "receiver_slow": Harm(Of.RECEIVER_SLOT, "a receiver answers after seconds", 0.3),
    "receiver_hangs": Harm(Of.RECEIVER_SLOT, "a receiver takes requests and never answers", 0.2),
    "receiver_drips": Harm(Of.RECEIVER_SLOT, "a receiver answers a byte a second", 0.2),
    "receiver_errs": Harm(Of.RECEIVER_SLOT, "a receiver answers 500 now and then", 0.4),
    "receiver_busy": Harm(Of.RECEIVER_SLOT, "a receiver answers 429, 502, 503 or 504, with strange Retry-After", 0.3),
    "receiver_away": Harm(Of.RECEIVER_SLOT, "a receiver is down", 0.3),
    "receiver_flaps": Harm(Of.RECEIVER_SLOT, "a receiver goes down and comes back every few minutes", 0.2),
    "receiver_gone": Harm(Of.RECEIVER_SLOT, "a receiver answers 410", 0.05),
    "receiver_redirects": Harm(Of.RECEIVER_SLOT, "a receiver answers 3xx", 0.1),
    "receiver_fails_after_work": Harm(Of.RECEIVER_SLOT, "a receiver processes the event, and answers 500", 0.2),
    "receiver_answers_twice": Harm(Of.RECEIVER_SLOT, "a receiver sends its answer twice", 0.3),
    "receiver_refuses_some": Harm(Of.RECEIVER_SLOT, "a receiver refuses a few events for ever", 0.4),
    "receiver_takes_less": Harm(Of.RECEIVER_SLOT, "a receiver answers 413 to large requests", 0.2),
    # -- senders
    "bad_report": Harm(Of.REPORT, "a report is wrong and must be refused", 0.2),
    "report_repeated": Harm(Of.REPORT, "a report is sent twice at once with one Idempotency-Key", 0.1),
    # -- operators
    "settings_changed": Harm(Of.SLOT, "an endpoint's limits, schedule or ordering are changed", 0.5),
    "url_changed": Harm(Of.SLOT, "an endpoint's URL is changed", 0.2),
    "wishes_changed": Harm(Of.SLOT, "an endpoint's patterns or filter are changed", 0.4),
    "secret_rotated": Harm(Of.SLOT, "an endpoint's secret is rotated", 0.3),
    "endpoint_paused": Harm(Of.SLOT, "an endpoint is paused for a while", 0.4),
    "endpoint_resumed": Harm(Of.SLOT, "an endpoint is resumed, whatever state it is in", 0.3),
    "endpoint_added": Harm(Of.SLOT, "an endpoint is added, with or without the history", 0.2),
    "endpoint_deleted": Harm(Of.SLOT, "an endpoint is deleted", 0.1),
    "resend_asked": Harm(Of.SLOT, "events are asked for again", 0.5),
    "erasure_asked": Harm(Of.SLOT, "a shipment's personal data are erased", 0.2),
    "replay_asked": Harm(Of.SLOT, "events are replayed, some to another URL", 0.3),
    "retention_run": Harm(Of.SLOT, "retention takes all that nobody is owed any more", 0.2),
}  # fmt: skip
