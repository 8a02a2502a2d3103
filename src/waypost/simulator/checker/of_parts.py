"""What is promised of events that travel together or once more: folded ones, batches and replays."""

from collections import defaultdict
from collections.abc import Iterator

from waypost.simulator.checker.broken import Broken, promise
from waypost.simulator.checker.facts import NEVER, Facts, Sent
from waypost.simulator.history import Name, OperatorAsked

FOLDING = frozenset({"shipment.updated", "shipment.eta_changed"})
TOO_LARGE = 413
BATCH = "bat_"


@promise("Only updates and ETAs of one shipment fold, into a newer one, where coalescing is on, before any was tried.")
def only_what_may_fold_folds(facts: Facts) -> Iterator[Broken]:
    """Look at each stored fold: both types, the key, the order, the settings, and what had been sent."""
    for (name, position), (moment, into) in facts.folded.items():
        log = facts.log[name.account_id]
        event, holder = log.get(position), log.get(into)
        at = facts.at(moment)
        on = any(one.coalesce for one in facts.settings(name, at - facts.lag_us, at))
        tried = [one for one in facts.sent_at.get((name, position), ()) if _is_known(facts, one, moment)]
        if event is None or holder is None:
            words = "is not in the log"
        elif event.type not in FOLDING or holder.type not in FOLDING:
            words = f"is a {event.type} in a {holder.type}"
        elif event.key != holder.key or into <= position:
            words = "is of another key, or newer"
        elif not on:
            words = "was folded where coalescing is off"
        elif tried:
            words = "had been sent before"
        elif not facts.wants(name, into):
            words = "went into an event that the endpoint does not want"
        else:
            continue
        yield Broken(
            words=f"position {position} was folded into {into}, and it {words}", at=at, name=name, position=position,
            key=facts.key_of(name, position), involved=(moment, *(one.moment for one in tried)),
        )  # fmt: skip


def _is_known(facts: Facts, sent: Sent, moment: int) -> bool:
    """Whether who folded at `moment` could know of a sending: the owner's own, or one that was stored."""
    row = facts.row(sent.name, moment)
    if sent.moment > moment or sent.again or row is None:
        return False
    return row.epoch == sent.epoch or facts.is_stored(sent, moment)


@promise("A fold is stored before the event that holds it goes out, and that event is settled in the end.")
def folds_are_stored_before_their_holder_goes(facts: Facts) -> Iterator[Broken]:
    """Look at the sendings of each holder, and follow it to its end."""
    for (name, position), (moment, into) in facts.folded.items():
        early = [one for one in facts.sent_at.get((name, into), ()) if _is_known(facts, one, moment)]
        if early:
            yield Broken(
                words=f"position {into} went out before the fold of {position} into it was stored",
                at=early[0].began.at, name=name, position=into, key=facts.key_of(name, into),
                involved=(early[0].moment, moment),
            )  # fmt: skip
        if facts.ending is not None and facts.ending.idle and facts.settled((name, into)) == NEVER and not _held(
            facts, name
        ):  # fmt: skip
            yield Broken(
                words=f"position {position} was folded into {into}, which was never delivered",
                at=facts.ending.at, name=name, position=into, involved=(moment,),
            )  # fmt: skip


def _held(facts: Facts, name: Name) -> bool:
    row = facts.row(name, len(facts.records))
    return row is None or row.paused or row.health == "suspended"


@promise("A batch that was not taken comes again with the same events, unless it was too large or settings changed.")
def batches_come_again_whole(facts: Facts) -> Iterator[Broken]:
    """Compare each batch with the one that its events went in before."""
    composed: dict[tuple[Name, str], Sent] = {}
    latest: dict[tuple[Name, int], Sent] = {}
    for sent in facts.sent:
        began = sent.began
        if not began.webhook_id.startswith(BATCH):
            for position in began.positions:
                latest.pop((sent.name, position), None)
            continue
        same = composed.setdefault((sent.name, began.webhook_id), sent)
        if same.began.positions != began.positions or list(began.positions) != sorted(set(began.positions)):
            yield _recomposed(sent, same, f"{began.webhook_id} came with other events, or out of order")
        for position in began.positions:
            before = latest.get((sent.name, position))
            if before is not None and before.began.webhook_id != began.webhook_id and _must_stay(facts, before, sent):
                yield _recomposed(
                    sent, before, f"position {position} went in {before.began.webhook_id} and was not taken"
                )
                break
        for position in began.positions:
            latest[sent.name, position] = sent


def _recomposed(sent: Sent, before: Sent, words: str) -> Broken:
    return Broken(
        words=f"{words}; it went in {sent.began.webhook_id} next", at=sent.began.at, name=sent.name,
        position=sent.began.positions[0], involved=(before.moment, sent.moment),
    )  # fmt: skip


def _must_stay(facts: Facts, before: Sent, sent: Sent) -> bool:
    if before.taken or before.again or sent.again or (before.ended is not None and before.ended.status == TOO_LARGE):
        return False
    settings = facts.settings(sent.name, before.began.at - facts.lag_us, sent.began.at)
    return len({(one.format, one.batch_size, one.batch_wait_ms, one.ordering) for one in settings}) <= 1


@promise("A batch is no larger than batch_size says, and its events are settled together.")
def batches_are_settled_whole(facts: Facts) -> Iterator[Broken]:
    """Look at the size of each batch, and at the commits that settle its events."""
    for sent in facts.sent:
        began = sent.began
        settings = facts.settings(sent.name, 0, began.at)
        if not began.webhook_id.startswith(BATCH) or not settings:
            continue
        if len(began.positions) > max(one.batch_size for one in settings):
            yield Broken(
                words=f"{began.webhook_id} holds {len(began.positions)} events", at=began.at, name=sent.name,
                position=began.positions[0], involved=(sent.moment,),
            )  # fmt: skip
        if not sent.taken:
            continue
        moments = {
            position: next((m for m, one in facts.attempts.get((sent.name, position), ())
                            if one.verdict == "delivered" and m > sent.moment), NEVER)
            for position in began.positions
            if facts.stored((sent.name, position), "delivered") > sent.moment
        }  # fmt: skip
        # Where the success was lost with its owner, its events were settled by what came after; else it settles all.
        settled_by_it = any(
            moment != NEVER
            and not any(sent.moment < one.moment < moment for one in facts.sent_at.get((sent.name, position), ()))
            for position, moment in moments.items()
        )
        if settled_by_it and len(set(moments.values())) > 1:
            yield Broken(
                words=f"the events of {began.webhook_id} were not settled together", at=began.at, name=sent.name,
                position=began.positions[0],
                involved=(sent.moment, *sorted(m for m in moments.values() if m != NEVER)),
            )  # fmt: skip


@promise("A replay sends the events that were counted for it and no others, in order for each key, and ends.")
def replays_send_what_they_matched(facts: Facts) -> Iterator[Broken]:
    """Hold the requests of each replay against what was matched, and its end against both."""
    jobs = {
        one.call.replay_id: one.call for one in facts.asked
        if one.call.what == "replay" and one.call.replay_id is not None and one.call.answered
    }  # fmt: skip
    sendings: dict[str, list[Sent]] = defaultdict(list)
    for sent in facts.sent:
        if sent.began.replay_id is not None:
            sendings[sent.began.replay_id].append(sent)
    for replay_id, job in jobs.items():
        matched = set(job.positions)
        for sent in sendings[replay_id]:
            extra = [
                position for position in sent.began.positions
                if position not in matched and not _sent_by_hand(facts, job, position)
            ]  # fmt: skip
            if extra:
                yield Broken(
                    words=f"{replay_id} sends position {extra[0]}, which it did not match", at=sent.began.at,
                    name=sent.name, position=extra[0], involved=(sent.moment,),
                )  # fmt: skip
        yield from _out_of_order(facts, job, sendings[replay_id])
        yield from _unfinished(facts, replay_id, job, sendings[replay_id])


def _sent_by_hand(facts: Facts, job: OperatorAsked, position: int) -> bool:
    """Whether somebody sent an event again since a replay was counted: it may stand as failed only since then."""
    return any(
        asked.call.what == "resend" and position in asked.call.positions and asked.call.at >= job.asked_at
        for asked in facts.asked_of.get(job.original or job.name, ())
    )


def _out_of_order(facts: Facts, job: OperatorAsked, sendings: list[Sent]) -> Iterator[Broken]:
    """First arrivals, key by key; an event that was given up may arrive late."""
    first: dict[int, Sent] = {}
    for sent in sorted((one for one in sendings if one.arrived != NEVER), key=lambda one: one.arrived):
        for position in sent.began.positions:
            first.setdefault(position, sent)
    highest: dict[str, int] = {}
    for position, sent in first.items():
        if not facts.always_ordered(job.original or job.name) or not any(
            one.taken for one in sendings if position in one.began.positions
        ):  # fmt: skip
            continue
        key = facts.key_of(sent.name, position)
        if position < highest.get(key, 0):
            yield Broken(
                words=f"{job.replay_id} brought position {position} after position {highest[key]} of its key",
                at=sent.arrived_at or 0, name=sent.name, position=position, key=key, involved=(sent.moment,),
            )  # fmt: skip
        highest[key] = max(position, highest.get(key, 0))


def _unfinished(facts: Facts, replay_id: str, job: OperatorAsked, sendings: list[Sent]) -> Iterator[Broken]:
    """What did not come, though nothing else brought it since it was counted; and a job that does not end."""
    if facts.ending is None or not facts.ending.idle or (_held(facts, job.name) and job.detail != "to_url"):
        return
    ended = {id_: (matched, done, state) for _, id_, matched, done, state in facts.ending.replays}.get(replay_id)
    if ended is None or ended[2] in ("cancelled", "failed"):
        return
    brought = {
        position for one in sendings if one.taken for position in one.began.positions if position in job.positions
    }
    others = {
        position for position in job.positions for one in facts.sent_at.get((job.name, position), ())
        if one.over == NEVER or facts.at(one.over) >= job.asked_at
    }  # fmt: skip
    gone = {position for position in job.positions if (job.name.account_id, position) in facts.events_gone}
    missing = sorted(set(job.positions) - brought - others - gone)
    by_hand = ended[0] > len(job.positions) and any(
        asked.call.what == "resend" and asked.call.at >= job.asked_at
        for asked in facts.asked_of.get(job.original or job.name, ())
    )
    if ended[2] == "running" or len(brought) > ended[0] or (ended[0] != len(job.positions) and not by_hand):
        yield Broken(
            words=f"{replay_id} matched {len(job.positions)} events; it ends {ended[2]} with {ended[0]} matched",
            at=facts.ending.at, name=job.name,
        )  # fmt: skip
    sent = {position for one in sendings for position in one.began.positions}
    if ended[1] > ended[0] + len(sent.difference(job.positions)) or ended[1] < len(brought):
        yield Broken(
            words=f"{replay_id} says that {ended[1]} of {ended[0]} events are done, and {len(brought)} were brought",
            at=facts.ending.at, name=job.name,
        )  # fmt: skip
    if missing:
        yield Broken(
            words=f"{replay_id} never brought {len(missing)} of its events, position {missing[0]} among them",
            at=facts.ending.at, name=job.name, position=missing[0],
        )  # fmt: skip


ALL = (
    only_what_may_fold_folds,
    folds_are_stored_before_their_holder_goes,
    batches_come_again_whole,
    batches_are_settled_whole,
    replays_send_what_they_matched,
)
