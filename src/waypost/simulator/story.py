"""Tells how a promise was broken: what happened around it, in order and in plain words."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from waypost.simulator.checker import PROMISES, Broken
from waypost.simulator.history import (
    Arrived,
    Committed,
    Complaint,
    EndpointChanged,
    Fault,
    FaultsStopped,
    History,
    Name,
    OperatorAsked,
    ProcessTurn,
    ReceiverAnswered,
    Record,
    ReportAnswered,
    SendBegan,
    SendEnded,
)

LINES_MAX = 60


def tell(history: History, broken: Broken) -> list[str]:
    """Give the story as lines: the promise, how it was broken, and the timeline of the key or endpoint in question."""
    sentence = next((one.sentence for one in PROMISES if one.name == broken.promise), "")
    lines = [f"Broken: {broken.promise}. {sentence}".rstrip(), f"How: {broken.words}", ""]
    timeline = list(_timeline(history, broken))
    left_out = len(timeline) - LINES_MAX
    if left_out > 0:
        timeline = [*timeline[:5], f"{'…':>16}  ({left_out} more)", *timeline[5 + left_out :]]
    return [*lines, *timeline, f"{_time(broken.at)}  BROKEN: {broken.words}"]


def _timeline(history: History, broken: Broken) -> Iterator[str]:
    involved = set(broken.involved)
    requests = _requests_of(history.records, broken, involved)
    for place, record in enumerate(history.records):
        if record.at > broken.at and place not in involved:
            break
        words = _words(record, broken, requests, chosen=place in involved)
        if words:
            yield f"{_time(record.at)}  {words}"


def _requests_of(records: Sequence[Record], broken: Broken, involved: set[int]) -> set[int]:
    """Give the requests that carried what the promise is about."""
    return {
        record.request
        for place, record in enumerate(records)
        if isinstance(record, SendBegan) and (place in involved or _is_about(record, broken))
    }


def _is_about(send: SendBegan, broken: Broken) -> bool:
    if broken.name is not None and send.name != broken.name:
        return False
    if broken.key is not None:
        return broken.key in send.keys
    if broken.position is not None:
        return broken.position in send.positions
    return broken.name is not None


def _words(record: Record, broken: Broken, requests: set[int], *, chosen: bool) -> str:  # noqa: C901 - one line for each kind of record
    match record:
        case SendBegan() if record.request in requests:
            positions = ", ".join(map(str, record.positions))
            replay = f" of replay {record.replay_id}" if record.replay_id else ""
            return (
                f"process {record.process} sends position {positions} ({record.event_type}) to "
                f"{_short(record.name)}, attempt {record.attempt}{replay} [request {record.request}]"
            )
        case Arrived(_, request) if request in requests:
            return f"request {request} arrives"
        case ReceiverAnswered(_, request, status) if request in requests:
            return f"the receiver answers {status} to request {request}"
        case SendEnded(_, request, outcome, status) if request in requests:
            return f"request {request} ended: {outcome}{'' if status is None else f' {status}'}"
        case ProcessTurn(_, process, turn, detail):
            return f"process {process} {_TURNS.get(turn, turn)}{f' ({detail})' if detail else ''}"
        case Fault() if record.request in requests:
            return f"harm: {record.name} to request {record.request}"
        case Fault(process=int(process)):
            return f"harm: {record.name} to process {process}"
        case Fault(touches=touches) if touches is None or broken.name in touches:
            return f"harm: {record.name}"
        case Complaint():
            return f"process {record.process} met a bug: {record.words}"
        case FaultsStopped():
            return "all harm stops, every endpoint is resumed"
        case EndpointChanged() if broken.name in (None, record.name):
            return f"{_short(record.name)} was {'made' if record.made else 'changed'}"
        case OperatorAsked() if broken.name in (None, record.name):
            return f"somebody asked to {record.what} {_short(record.name)} {_list(record.positions)}".rstrip()
        case ReportAnswered() if chosen:
            return f"a report was {'accepted' if record.accepted else 'refused'} [call {record.call}]"
        case Committed():
            return _committed(record, broken, chosen=chosen)
    return f"{type(record).__name__}" if chosen else ""


def _committed(record: Committed, broken: Broken, *, chosen: bool) -> str:
    """Say what a commit changed of what the promise is about."""
    said = [*_rows(record, broken, chosen=chosen)]
    for _, event in record.events:
        if event.position == broken.position or (broken.key is not None and event.key == broken.key):
            said.append(f"position {event.position} ({event.type}) is in the log")
    if not said and not chosen:
        return ""
    by = "the API" if record.process is None else f"process {record.process}"
    lost = ", and nobody is told" if record.lost_answer else ""
    return f"{by} commits ({record.what}){lost}: {'; '.join(said) or 'nothing of this'}"


def _rows(record: Committed, broken: Broken, *, chosen: bool) -> Iterator[str]:
    """Tell the rows of the endpoint, and of the position where the promise is about one."""

    def ours(name: Name, position: int | None = None) -> bool:
        if broken.name is None:
            return chosen
        return name == broken.name and (position is None or broken.position in (None, position))

    yield from (
        f"{_short(row.name)}: cursor {row.cursor}, {row.health}, owner {row.owner}, epoch {row.epoch}"
        for row in record.endpoints
        if ours(row.name)
    )
    yield from (f"position {row.position} is {row.state}" for row in record.pending_put if ours(row.name, row.position))
    yield from (f"position {place} is pending no more" for name, place in record.pending_gone if ours(name, place))
    yield from (
        f"attempt {row.number} of position {row.position}: {row.verdict}"
        for row in record.attempts
        if ours(row.name, row.position)
    )
    yield from ("refused: the epoch is another's" for name in record.refused if ours(name))


_TURNS = {"stop": "is told to stop", "paused": "stands still", "woken": "goes on", "stepped": "has its clock set"}


def _time(at: int) -> str:
    whole = timedelta(microseconds=at)
    hours, rest = divmod(whole.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{whole.days:>3}d {hours:02}:{minutes:02}:{seconds:02}.{whole.microseconds // 1000:03}"


def _short(name: Name) -> str:
    return f"{name.account_id}/…{name.endpoint_id[-4:]}"


def _list(positions: Sequence[int]) -> str:
    return f"(positions {', '.join(map(str, positions))})" if positions else ""
