"""What the overview says first, and what it asks of a person: in words, the worst first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from waypost.dashboard.explanations import in_language
from waypost.dashboard.words import Words
from waypost.log import EndpointRecord
from waypost.log.behind import Behind, Held
from waypost.log.overview import Overview
from waypost.log.records import Waiting

WEBHOOKS = "/settings/integrations/webhooks"


@dataclass(frozen=True, slots=True)
class Answer:
    """The sentence that the page begins with; `tone` is good, warn or bad."""

    tone: str
    head: str
    text: str


@dataclass(frozen=True, slots=True)
class Act:
    """Something to do about it: a link, or with `posts` a button that does it."""

    text: str
    href: str
    posts: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Need:
    """Something that a person has to look at. `moment` is an instant that the head ends with."""

    tone: str
    head: str
    text: str
    acts: tuple[Act, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    moment: datetime | None = None


def name_of(endpoint: EndpointRecord) -> str:
    """What an endpoint is called: its description, else the host of its URL."""
    return endpoint.settings.description or host_of(endpoint)


def host_of(endpoint: EndpointRecord) -> str:
    """The host of its URL."""
    return urlsplit(endpoint.settings.url).netloc or endpoint.settings.url


def many(waiting: Waiting) -> str:
    """A count in words, with a plus where there are more."""
    return f"{waiting.count:,}{'+' if waiting.more else ''}"


# -- the answer --------------------------------------------------------------------------------------------------------


def answer(behind: Behind, words: Words) -> Answer:
    """Say whether updates are going out: all is well, some are not, or none."""
    total, states = behind.endpoints, behind.states
    out = total - states["active"]
    if total == 0:
        text = words("Give us the address of your system, and it hears of every booking, delay and delivery.")
        return Answer("wait", words("Nobody is told yet."), text)
    if out == 0:
        return Answer("good", words("Updates are going out."), _on_their_way(behind, words))
    if out == total:
        head = words("No updates are going out.")
        return Answer("bad" if states["paused"] < total else "warn", head, _who(behind, words))
    head = words.number(
        "Updates are going out, except to one of your %(total)s endpoints.",
        "Updates are going out, except to %(n)s of your %(total)s endpoints.",
        out,
        total=f"{total:,}",
    )
    return Answer("warn", head, _who(behind, words))


def _on_their_way(behind: Behind, words: Words) -> str:
    waiting = behind.waiting
    if not waiting.count:
        return words.number(
            "Your endpoint takes them as they come.", "All %(n)s endpoints take them as they come.", behind.endpoints
        )
    return words.number(
        "%(count)s event is on its way, in order.", "%(count)s events are on their way, in order.", waiting.count,
        count=many(waiting),
    )  # fmt: skip


def _who(behind: Behind, words: Words) -> str:
    """ "One is failing, 2 suspended: 1,533 events wait there, in order. Nothing is lost." """
    states = behind.states
    first = {
        "failing": words.number("one is failing", "%(n)s are failing", states["failing"]),
        "suspended": words.number("one is suspended", "%(n)s are suspended", states["suspended"]),
        "paused": words.number("one is paused", "%(n)s are paused", states["paused"]),
    }
    then = {
        "failing": words.number("one failing", "%(n)s failing", states["failing"]),
        "suspended": words.number("one suspended", "%(n)s suspended", states["suspended"]),
        "paused": words.number("one paused", "%(n)s paused", states["paused"]),
    }
    there = [state for state in ("failing", "suspended", "paused") if states[state]]
    said = ", ".join([first[there[0]], *(then[state] for state in there[1:])])
    said = said[:1].upper() + said[1:]
    waiting = behind.waiting_where(("failing", "suspended", "paused"))
    if not waiting.count:
        return words("%(who)s. Nothing waits there yet.", who=said)
    return words.number(
        "%(who)s: %(count)s event waits. It is not lost.",
        "%(who)s: %(count)s events wait, in order. Nothing is lost.",
        waiting.count,
        who=said,
        count=many(waiting),
    )


# -- what needs a person -----------------------------------------------------------------------------------------------


def needs(seen: Overview, words: Words, *, owed_days: int, may_change: bool) -> list[Need]:
    """Give what needs a person, ordered by the harm it does."""
    by_state = {"suspended": list[Held](), "failing": list[Held]()}
    for held in seen.behind.held:
        if held.endpoint.state in by_state:
            by_state[held.endpoint.state].append(held)
    found = [_suspended(held, words, owed_days, may_change=may_change) for held in by_state["suspended"]]
    found += [_failing(held, words) for held in by_state["failing"]]
    found += _refused(seen, words)
    if seen.refused_messages.count.count:
        found.append(_not_understood(seen.refused_messages.count, words))
    if seen.quiet_count:
        found.append(_quiet(seen, words))
    found += _ending(seen, words)
    return found


def _suspended(held: Held, words: Words, owed_days: int, *, may_change: bool) -> Need:
    there = f"{WEBHOOKS}/{held.endpoint.endpoint_id}"
    acts = [Act(words("See the answer"), f"{there}?state=retrying", quiet=True)]
    if may_change:
        acts.insert(0, Act(words("Test and resume"), f"{there}/test-and-resume", posts=True))
    text = _sentence(held.endpoint.state_reason, words) + _wait(held, words)
    if held.oldest_at is not None:
        until = held.oldest_at + timedelta(days=owed_days)
        text += " " + words("The oldest is kept until %(day)s.", day=f"{until:%Y-%m-%d}")
    head = words("%(name)s is suspended", name=name_of(held.endpoint))
    return Need("bad", head, text, tuple(acts))


def _failing(held: Held, words: Words) -> Need:
    head = words("%(name)s does not take our requests", name=name_of(held.endpoint))
    act = Act(words("Open the last delivery"), f"{WEBHOOKS}/{held.endpoint.endpoint_id}?state=retrying")
    return Need("warn", head, _sentence(held.endpoint.state_reason, words) + _wait(held, words), (act,))


def _sentence(kept: str | None, words: Words) -> str:
    """A reason as a sentence with a blank behind it; nothing where there is none."""
    if not kept:
        return ""
    reason = in_language(kept, words)
    return f"{reason[:1].upper()}{reason[1:].rstrip('.')}. "


def _wait(held: Held, words: Words) -> str:
    return words.number(
        "%(count)s event waits.", "%(count)s events wait, in order.", held.waiting.count, count=many(held.waiting)
    )


def _refused(seen: Overview, words: Words) -> Iterator[Need]:
    for one in seen.refused:
        there = f"{WEBHOOKS}/{one.endpoint_id}"
        name = name_of(seen.named[one.endpoint_id])
        head = words.number("%(name)s refused one delivery", "%(name)s refused %(n)s deliveries", one.count, name=name)
        text = words("In the last 7 days, while it took others. They are kept, and can be sent again.")
        yield Need("warn", head, text, (Act(words("See what failed"), f"{there}?state=failed"),))


def _not_understood(count: Waiting, words: Words) -> Need:
    head = words.number(
        "One message could not be read", "%(count)s messages could not be read", count.count, count=many(count)
    )
    text = words("They are kept as they came, with the reason.")
    return Need("warn", head, text, (Act(words("See them"), "/intake?state=refused"),))


def _quiet(seen: Overview, words: Words) -> Need:
    head = words.number("One shipment went quiet", "%(n)s shipments went quiet", seen.quiet_count)
    links = tuple((one.reference, f"/shipments/{one.shipment_id}") for one in seen.quiet)
    return Need("wait", head, words("No scan for longer than you expect:"), links=links)


def _ending(seen: Overview, words: Words) -> Iterator[Need]:
    for one in seen.ending:
        if one.endpoint_id in seen.named:
            head = words("Old secret of %(name)s ends", name=name_of(seen.named[one.endpoint_id]))
            text = words("Until then both secrets sign, from then on only the new one.")
            act = Act(words("See the endpoint"), f"{WEBHOOKS}/{one.endpoint_id}", quiet=True)
            yield Need("wait", head, text, (act,), moment=one.expires_at)


def sparkline_words(held: Held, hours: Sequence[Any], words: Words) -> str:
    """The sentence of a sparkline for who does not see it."""
    delivered = sum(hour.delivered for hour in hours)
    wrong = sum(hour.retrying + hour.failed for hour in hours)
    return words(
        "Last 24 hours: %(delivered)s delivered, %(wrong)s attempts failed, %(waiting)s wait",
        delivered=f"{delivered:,}", wrong=f"{wrong:,}", waiting=many(held.waiting),
    )  # fmt: skip
