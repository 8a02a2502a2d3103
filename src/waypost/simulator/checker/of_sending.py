"""What is promised of requests: what goes out, in which order, how often, and with which bytes and signatures."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from waypost.simulator.checker.broken import Broken, promise
from waypost.simulator.checker.facts import NEVER, SECOND, Facts, Place, Sent
from waypost.simulator.history import EndpointChanged, Name

TIMESTAMP_LATE_S = 3  # between signing and the first byte of the request
TEST = "evt_test_"
PREFIX_OF_SCHEME = {"v1": "whsec_", "v1a": "whsk_"}


def _keys(facts: Facts, name: Name) -> dict[str, list[int]]:
    """The positions the endpoint is owed, by key, in order."""
    found: dict[str, list[int]] = defaultdict(list)
    for position in facts.wanted(name):
        found[facts.key_of(name, position)].append(position)
    return found


@promise("The first arrivals of what was delivered come, for each key at each endpoint, in the order of the log.")
def first_arrivals_are_in_order(facts: Facts) -> Iterator[Broken]:
    """Line up the first arrivals of each key; what was given up or folded away takes no part."""
    for name in facts.made:
        if not facts.always_ordered(name):
            continue
        for key, positions in _keys(facts, name).items():
            latest: Sent | None = None
            latest_position = 0
            for position in positions:
                first = _first_arrival(facts, (name, position))
                if first is None:
                    continue
                if latest is not None and first.arrived < latest.arrived:
                    yield Broken(
                        words=f"position {position} arrived before position {latest_position} of the same key",
                        at=first.arrived_at or 0, name=name, position=position, key=key,
                        involved=(first.moment, first.arrived, latest.moment, latest.arrived),
                    )  # fmt: skip
                else:
                    latest, latest_position = first, position


def _first_arrival(facts: Facts, place: Place) -> Sent | None:
    """How an event that was delivered, and never given up, came first; None for all others."""
    if facts.stored(place, "delivered") == NEVER or facts.stored(place, "failed") != NEVER or place in facts.folded:
        return None
    arrived = [one for one in facts.sent_at.get(place, ()) if one.arrived != NEVER and one.began.replay_id is None]
    return min(arrived, key=lambda one: one.arrived, default=None)


@promise("An event goes out only once all earlier ones of its key that the endpoint wants are settled, a failed one in "
         "the store.")  # fmt: skip
def the_next_of_a_key_waits(facts: Facts) -> Iterator[Broken]:
    """At each sending, look at the earlier events of the same key."""
    for name in facts.made:
        if not facts.always_ordered(name):
            continue
        keys = _keys(facts, name)
        frontier: dict[str, int] = defaultdict(int)  # so many of a key are settled in the store
        for sent in facts.sent_to.get(name, ()):
            if sent.again:
                continue
            for position in sent.began.positions:
                key = facts.key_of(name, position)
                mine = keys.get(key, [])
                start = frontier[key]
                while start < len(mine) and facts.settled((name, mine[start])) < sent.moment:
                    start += 1
                frontier[key] = start
                for earlier in mine[start:]:
                    if earlier >= position:
                        break
                    if not _may_be_passed(facts, sent, (name, earlier)):
                        yield Broken(
                            words=f"position {position} goes out while position {earlier} of its key is not settled",
                            at=sent.began.at, name=name, position=position, key=key, involved=(sent.moment,),
                        )  # fmt: skip


def _may_be_passed(facts: Facts, sent: Sent, earlier: Place) -> bool:
    name, position = earlier
    if position in sent.began.positions or facts.settled(earlier) < sent.moment:
        return True
    if facts.events_gone.get((name.account_id, position), NEVER) < sent.moment:
        return True
    return any(
        one.taken and one.ended_moment < sent.moment and one.began.process == sent.began.process
        for one in facts.sent_at.get(earlier, ())
    )


@promise("Of one key at one endpoint, one request is out at a time.")
def one_of_a_key_is_out_at_a_time(facts: Facts) -> Iterator[Broken]:
    """Look, at each sending, at what its owner still has out."""
    for name in facts.made:
        if not facts.always_ordered(name):
            continue
        out: dict[tuple[tuple[int, int], str], Sent] = {}
        for sent in facts.sent_to.get(name, ()):
            if sent.again:
                continue
            for key in {facts.key_of(name, position) for position in sent.began.positions}:
                before = out.get((sent.owner, key))
                if before is not None and before.over > sent.moment:
                    yield Broken(
                        words=f"position {sent.began.positions[0]} goes out while position "
                        f"{before.began.positions[0]} of its key is out",
                        at=sent.began.at, name=name, position=sent.began.positions[0], key=key,
                        involved=(before.moment, sent.moment),
                    )  # fmt: skip
                out[sent.owner, key] = sent


@promise("An event is sent again only after an attempt that failed or whose end is unknown, a crash, or a request.")
def no_duplicate_without_a_cause(facts: Facts) -> Iterator[Broken]:
    """Ask of each sending but the first what its cause is."""
    for place, sendings in facts.sent_at.items():
        if place[0] not in facts.made:
            continue
        for before, sent in pairwise(sendings):
            words = _without_cause(facts, place, before, sent)
            if words:
                yield _repeated(place, words, before, sent, facts)
        for sent in sendings:
            if not sent.again and facts.settled(place) < sent.moment and not _is_stale(facts, sent):
                yield _repeated(place, "although the store says that it is settled", sendings[0], sent, facts)


def _is_stale(facts: Facts, sent: Sent) -> bool:
    """Whether another process was the stored owner by then: one that was overtaken knows nothing of it, and may repeat.

    Whether it still had its lease to send by is asked elsewhere.
    """
    row = facts.row(sent.name, sent.moment)
    return row is not None and row.owner != f"p{sent.began.process}"


def _without_cause(facts: Facts, place: Place, before: Sent, sent: Sent) -> str:
    if before.ended_moment < sent.moment and not before.taken:
        return ""
    if sent.again and _asked_since(facts, place, before, sent):
        return ""
    if before.over > sent.moment:
        return "while it is out already" if before.owner == sent.owner else ""
    if not before.taken:
        return ""  # its process died, so nobody knows what came of it
    if before.owner == sent.owner:
        return "although its owner heard that it was taken"
    if _is_stale(facts, sent):
        return ""
    stored = any(
        one.verdict == "delivered" and before.moment < moment < sent.moment
        for moment, one in facts.attempts.get(place, ())
    )
    return "although its success was stored" if stored else ""


def _asked_since(facts: Facts, place: Place, before: Sent, sent: Sent) -> bool:
    """Whether a row that asks for it again was made since, or it is part of another replay."""
    if sent.began.replay_id != before.began.replay_id:
        return True
    rows = facts.pending.get(place)
    if rows is None:
        return False
    previous = rows.at(before.moment)
    for _, row in rows.between(before.moment, sent.moment):
        if row is not None and row.state == "resend" and (previous is None or previous.state != "resend"):
            return True
        previous = row
    return False


def _repeated(place: Place, words: str, before: Sent, sent: Sent, facts: Facts) -> Broken:
    name, position = place
    return Broken(
        words=f"position {position} is sent again {words}", at=sent.began.at, name=name, position=position,
        key=facts.key_of(name, position), involved=(before.moment, sent.moment),
    )  # fmt: skip


@promise("An endpoint is sent what it wants, by the wishes at each event's position, and nothing else unasked.")
def only_wanted_events_go_out(facts: Facts) -> Iterator[Broken]:
    """Hold each sending against the wishes."""
    for sent in facts.sent:
        if sent.again or sent.name not in facts.made:
            continue
        for position in sent.began.positions:
            if not facts.wants(sent.name, position):
                yield Broken(
                    words=f"position {position} goes out, and the endpoint did not want it",
                    at=sent.began.at, name=sent.name, position=position, key=facts.key_of(sent.name, position),
                    involved=(sent.moment,),
                )  # fmt: skip


@promise("The attempts of an event are counted up by one; only those that a crash left unknown are counted anew.")
def attempts_are_counted(facts: Facts) -> Iterator[Broken]:
    """Hold each number against the one before of the same owner, or against what was stored."""
    for place, sendings in facts.sent_at.items():
        previous: Sent | None = None
        for made, sent in enumerate(sendings):
            if len(sent.began.positions) > 1 or sent.began.webhook_id.startswith("bat_"):
                previous = None
                continue
            least, most = 1, made + 1
            if previous is not None and previous.owner == sent.owner:
                least = most = previous.began.attempt + 1
            elif previous is not None or made == 0:
                least = 1 + _stored_number(facts, place, sent)
            if not least <= sent.began.attempt <= most:
                yield Broken(
                    words=f"attempt {sent.began.attempt} of position {place[1]} should bear "
                    + (f"number {least}" if least == most else f"a number from {least} to {most}"),
                    at=sent.began.at, name=place[0], position=place[1], involved=(sent.moment,),
                )  # fmt: skip
            previous = sent


def _stored_number(facts: Facts, place: Place, sent: Sent) -> int:
    """The highest number that its owner found when it took the endpoint."""
    rows = facts.rows.get(place[0])
    taken = NEVER
    if rows is not None:
        taken = next(
            (moment for moment, row in zip(rows.moments, rows.values, strict=True) if row and row.epoch == sent.epoch),
            NEVER,
        )
    return max((one.number for moment, one in facts.attempts.get(place, ()) if moment < taken), default=0)


@promise("A retry bears the same id and the same bytes while settings are the same; plain events, the stored bytes.")
def retries_are_equal(facts: Facts) -> Iterator[Broken]:
    """Compare the requests of one `webhook-id`, and those of whole events with the log."""
    latest: dict[tuple[Name, str], Sent] = {}
    for sent in facts.sent:
        began = sent.began
        if began.webhook_id.startswith(TEST):
            continue
        if len(began.positions) != len(began.event_ids) or not began.positions:
            yield Broken(
                words=f"a request tells of {', '.join(began.event_ids)}, which are not all in the log", at=began.at,
                name=sent.name, involved=(sent.moment,),
            )  # fmt: skip
            continue
        before = latest.get((sent.name, began.webhook_id))
        latest[sent.name, began.webhook_id] = sent
        if before is not None and before.began.body_hash != began.body_hash and _must_be_equal(facts, before, sent):
            yield Broken(
                words=f"{began.webhook_id} went out with other bytes than before", at=began.at, name=sent.name,
                position=began.positions[0], involved=(before.moment, sent.moment),
            )  # fmt: skip
        yield from _identity_of(facts, sent)


def _must_be_equal(facts: Facts, before: Sent, sent: Sent) -> bool:
    """Whether who sent again could know what had gone out: else older events may have been folded in meanwhile."""
    folded = any(
        name == sent.name and into in sent.began.positions and before.moment < moment
        for (name, _), (moment, into) in facts.folded.items()
    )
    if folded and before.owner != sent.owner and not facts.is_stored(before, sent.moment):
        return False
    return _settings_stood(facts, before, sent)


def _settings_stood(facts: Facts, before: Sent, sent: Sent) -> bool:
    name = sent.name
    kinds = {
        (one.format, one.payload, one.personal_data)
        for one in facts.settings(name, before.began.at - facts.lag_us, sent.began.at)
    }
    since = _earlier(facts, before)
    rewritten = any(
        moment != hashes.moments[0]
        for hashes in (facts.hashes[name.account_id, position] for position in sent.began.positions)
        for moment, _ in hashes.between(since, sent.moment)
    )
    return len(kinds) <= 1 and not rewritten


def _earlier(facts: Facts, sent: Sent) -> int:
    """A moment some time before a sending: what changed since may not have been known to it."""
    moment = sent.moment
    while moment > 0 and facts.at(moment) > sent.began.at - facts.lag_us:
        moment -= 1
    return moment


def _identity_of(facts: Facts, sent: Sent) -> Iterator[Broken]:
    began, account = sent.began, sent.name.account_id
    events = [facts.log[account].get(position) for position in began.positions]
    told = list(zip(began.event_ids, began.keys, began.sequences, strict=True))
    stored = [(event.event_id, event.key, event.sequence) for event in events if event is not None]
    alone = len(events) == 1 and not began.webhook_id.startswith("bat_")
    if told != stored or (alone and began.webhook_id != began.event_ids[0]):
        yield Broken(
            words=f"the request {began.webhook_id} tells of {told}, and the log of {stored}", at=began.at,
            name=sent.name, position=began.positions[0], involved=(sent.moment,),
        )  # fmt: skip
        return
    hashes = facts.hashes[account, began.positions[0]]
    if alone and hashes.at(sent.moment) != began.body_hash and _is_plain(facts, sent):
        known = {hashes.at(sent.moment), *(one for _, one in hashes.between(_earlier(facts, sent), sent.moment))}
        known.add(hashes.at(_earlier(facts, sent)))
        if began.body_hash not in known:
            yield Broken(
                words=f"{began.webhook_id} went out with other bytes than the stored ones", at=began.at,
                name=sent.name, position=began.positions[0], involved=(sent.moment,),
            )  # fmt: skip


def _is_plain(facts: Facts, sent: Sent) -> bool:
    """Whether the body must be the stored bytes: whole events, nothing folded in."""
    if any(into == sent.began.positions[0] for (name, _), (_, into) in facts.folded.items() if name == sent.name):
        return False
    settings = facts.settings(sent.name, sent.began.at - facts.lag_us, sent.began.at)
    return bool(settings) and all(
        (one.format, one.payload, one.personal_data) == ("waypost", "full", True) for one in settings
    )


@promise("What was erased is sent to nobody after the erasure was answered.")
def nothing_erased_goes_out(facts: Facts) -> Iterator[Broken]:
    """Look for bytes in requests that an answered erasure had replaced."""
    erasures = [one for one in facts.asked if one.call.what == "erase" and one.call.answered]
    if not erasures:
        return
    for sent in facts.sent:
        if len(sent.began.positions) != 1:
            continue
        hashes = facts.hashes[sent.name.account_id, sent.began.positions[0]]
        if hashes.at(sent.moment) == sent.began.body_hash or sent.began.body_hash not in hashes.values:
            continue
        key = sent.began.keys[0]
        rewritten = next((moment for moment, one in hashes.between(-1, sent.moment) if one != hashes.values[0]), NEVER)
        answered = [one for one in erasures if rewritten < one.moment < sent.moment]
        if answered:
            yield Broken(
                words=f"position {sent.began.positions[0]} goes out with what was erased", at=sent.began.at,
                name=sent.name, position=sent.began.positions[0], key=key,
                involved=(answered[0].moment, sent.moment),
            )  # fmt: skip


@promise("Every live secret of the endpoint signs, no other does, and the time signed is the attempt's.")
def signatures_are_of_live_secrets(facts: Facts) -> Iterator[Broken]:
    """Hold the secrets that a request verifies under against those that live."""
    for sent in facts.sent:
        began = sent.began
        if abs(began.timestamp * SECOND - began.process_clock) > TIMESTAMP_LATE_S * SECOND:
            yield Broken(
                words=f"the time signed is {(began.timestamp * SECOND - began.process_clock) / SECOND:.0f} s off",
                at=began.at, name=sent.name, involved=(sent.moment,),
            )  # fmt: skip
        changes = facts.in_force(sent.name, began.at - facts.lag_us, began.at)
        error = facts.clock_error(began.process, sent.moment) + SECOND
        told = any(change.at <= began.at for change in changes)  # before, nobody could say what its secrets are
        if told and not any(_signed_as(change, set(began.signed_by), began.at, error) for change in changes):
            yield Broken(
                words=f"signed under {', '.join(began.signed_by) or 'no secret'}, which are not the live ones",
                at=began.at, name=sent.name, involved=(sent.moment,),
            )  # fmt: skip


def _signed_as(change: EndpointChanged, signed_by: set[str], at: int, error: int) -> bool:
    mine = [(secret, end) for secret, end in change.secrets if _scheme_used(secret, change.settings.signature)]
    must = {secret for secret, end in mine if end is None or end > at + error}
    may = {secret for secret, end in mine if end is None or end > at - error}
    return must <= signed_by <= may


def _scheme_used(secret: str, schemes: tuple[str, ...]) -> bool:
    if not secret.startswith(tuple(PREFIX_OF_SCHEME.values())):
        return True
    return any(secret.startswith(PREFIX_OF_SCHEME[scheme]) for scheme in schemes)


ALL = (
    first_arrivals_are_in_order,
    the_next_of_a_key_waits,
    one_of_a_key_is_out_at_a_time,
    no_duplicate_without_a_cause,
    only_wanted_events_go_out,
    attempts_are_counted,
    retries_are_equal,
    nothing_erased_goes_out,
    signatures_are_of_live_secrets,
)
