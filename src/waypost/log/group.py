"""One group of units in one transaction.

A unit that refuses, or fails by a bug of ours, fails alone: its savepoint is undone and its numbers are given back. A
request that repeats an earlier one (Idempotency-Key), stored or in the same group, is given the same answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from waypost.clock import Clock, IdSource, to_micros
from waypost.errors import CallerError
from waypost.ids import AccountId, EndpointId
from waypost.log import idempotency
from waypost.log.accept import AcceptReport, accept_all
from waypost.log.idempotency import KeptAnswer, Scope
from waypost.log.records import Accepted, Answer
from waypost.log.transaction import Once, Tx, Unit
from waypost.log.vault import Vault

Work = Unit[Any] | AcceptReport


@dataclass(frozen=True, slots=True)
class Committed:
    """What a group changed, told after its commit: accounts whose log grew, each with its new end, and endpoints.

    `tokens` says that a token was revoked or replaced, `replays` that a replay was asked for; `erased` holds the
    positions whose events were rewritten.
    """

    accounts: Mapping[AccountId, int]
    endpoints: frozenset[tuple[AccountId, EndpointId]]
    tokens: bool = False
    erased: Mapping[AccountId, Sequence[int]] = field(default_factory=dict)
    replays: bool = False

    @classmethod
    def nothing(cls) -> "Committed":
        """No change."""
        return cls({}, frozenset())

    def __bool__(self) -> bool:
        return bool(self.accounts or self.endpoints or self.tokens or self.erased or self.replays)

    def __or__(self, other: "Committed") -> "Committed":
        return Committed(
            {**self.accounts, **other.accounts},
            self.endpoints | other.endpoints,
            self.tokens or other.tokens,
            {
                account: [*self.erased.get(account, ()), *other.erased.get(account, ())]
                for account in {**self.erased, **other.erased}
            },
            self.replays or other.replays,
        )


@dataclass(frozen=True, slots=True)
class Request:
    """A unit to do, and the Idempotency-Key it came with, if any."""

    work: Work
    once: Once[Any] | None = None

    @property
    def locks(self) -> tuple[AccountId, ...]:
        """The accounts to lock for it. A key is looked up under the lock, or two services could both miss it."""
        own = (self.work.account_id,)
        if isinstance(self.work, AcceptReport):
            return own
        return own + self.work.others if self.work.locks or self.once is not None else self.work.others

    @property
    def scope(self) -> Scope:
        """Where its answer is kept. Only for a request with a key."""
        assert self.once is not None
        return idempotency.scope_of(self.work.account_id, self.once)


class Again(Exception):
    """Never shown: the first request with this key came to nothing that is kept, so this one runs in another group."""


class CommitFailed(Exception):
    """The commit did not answer that it is done: what was to be stored may be stored, or not.

    `maybe` is what it changed, if it did. Whoever is told of commits is to be told of it too: the caller who asks again
    with the same Idempotency-Key is given the kept answer, and then nothing is changed that could be told.
    """

    def __init__(self, why: str, maybe: Committed) -> None:
        super().__init__(why)
        self.maybe = maybe


@dataclass(frozen=True, slots=True)
class GroupResult:
    """The outcome of each request, in order, and what was changed."""

    outcomes: list[object]
    committed: Committed

    def and_then(self, other: "GroupResult") -> "GroupResult":
        """These outcomes, with what both changed."""
        return GroupResult(self.outcomes, self.committed | other.committed)


def run_group(
    connection: Connection,
    requests: Sequence[Request],
    clock: Clock,
    ids: IdSource,
    vault: Vault,
    *,
    unsure: Committed | None = None,
) -> GroupResult:
    """Do the work of one group in one transaction and commit it. Synchronous, and knows of no thread.

    An outcome is the unit's value, the kept or made `Answer` of a request with a key, or the exception the unit failed
    with: CallerError for a refusal, anything else for a bug. Raises CommitFailed when nobody can tell what is stored;
    whatever else it raises, nothing of the group is. `unsure` is what earlier groups may have changed, and nobody was
    told of: it is told with this one, with where the logs really end.
    """
    unsure = unsure or Committed.nothing()
    now = clock.now()
    transaction = connection.begin()
    try:
        tx = Tx(connection, clock.now, ids, vault, now, to_micros(now))
        tx.lock([*(account_id for request in requests for account_id in request.locks), *unsure.accounts])
        ends = {account_id: tx.heads[account_id].position for account_id in unsure.accounts if account_id in tx.heads}
        outcomes = _Group(tx, requests).run()
        grown = tx.store_heads()
    except BaseException:
        transaction.rollback()
        raise
    changed = frozenset(tx.changed_endpoints)
    committed = Committed(grown, changed, tx.tokens_changed, tx.erased, tx.replays_asked)
    try:
        transaction.commit()
    except SQLAlchemyError as error:
        raise CommitFailed(str(error), unsure | committed) from error
    return GroupResult(outcomes, replace(unsure, accounts=ends) | committed)


class _Group:
    """One group inside its transaction."""

    def __init__(self, tx: Tx, requests: Sequence[Request]) -> None:
        self.tx = tx
        self.requests = requests
        self.outcomes: list[object] = [None] * len(requests)
        self.kept: dict[Scope, KeptAnswer] = {}
        self.new: list[tuple[Scope, KeptAnswer, Once[Any]]] = []

    def run(self) -> list[object]:
        """Do all of them: reports first, since they are done as one, then the others in their order."""
        to_do, repeated = self._sort_out_repeated()
        reports = [(index, work) for index in to_do if isinstance(work := self.requests[index].work, AcceptReport)]
        others = [(index, work) for index in to_do if isinstance(work := self.requests[index].work, Unit)]
        accepted = accept_all(self.tx, [report for _, report in reports])
        for (index, _), outcome in zip(reports, accepted, strict=True):
            self._ended(index, outcome)
        for index, unit in others:
            self._ended(index, self._attempt(unit))
        for index in repeated:
            self._answer_again(index)
        idempotency.keep(self.tx, self.new)
        return self.outcomes

    def _sort_out_repeated(self) -> tuple[list[int], list[int]]:
        """Split the group into what is to be done and what repeats another request, stored or in this group."""
        scopes = {index: request.scope for index, request in enumerate(self.requests) if request.once is not None}
        if not scopes:
            return list(range(len(self.requests))), []
        self.kept = idempotency.recall(self.tx, set(scopes.values()))
        to_do: list[int] = []
        repeated: list[int] = []
        seen = set(self.kept)
        for index in range(len(self.requests)):
            scope = scopes.get(index)
            (repeated if scope in seen else to_do).append(index)
            if scope is not None:
                seen.add(scope)
        return to_do, repeated

    def _attempt(self, unit: Unit[Any]) -> object:
        """Do one unit under its own savepoint.

        The savepoint is set by hand, which costs a third of what SQLAlchemy's own costs. What it raises for a reason
        of the database's fails the whole group, so there is nothing to go back to then.
        """
        positions, endpoints = self.tx.positions(), set(self.tx.changed_endpoints)
        command = self.tx.connection.exec_driver_sql
        command("SAVEPOINT unit")
        try:
            outcome: object = unit.work(self.tx)
        except (CallerError, IntegrityError) as error:
            failure: Exception = error
        except SQLAlchemyError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug in one unit must not fail its neighbours
            failure = error
        else:
            command("RELEASE SAVEPOINT unit")
            return outcome
        command("ROLLBACK TO SAVEPOINT unit")
        command("RELEASE SAVEPOINT unit")
        self.tx.give_back(positions)
        self.tx.changed_endpoints.intersection_update(endpoints)
        return failure

    def _ended(self, index: int, outcome: object) -> None:
        """Note an outcome; of a request with a key, the answer made of it."""
        once = self.requests[index].once
        answer = _render(once, outcome) if once is not None else None
        self.outcomes[index] = outcome if answer is None else answer
        if once is None or answer is None or not idempotency.is_kept(answer):
            return
        shipment_id = outcome.shipment_id if isinstance(outcome, Accepted) else None
        scope, kept = self.requests[index].scope, KeptAnswer(once.body_sha256, answer, shipment_id)
        self.kept[scope] = kept
        self.new.append((scope, kept, once))

    def _answer_again(self, index: int) -> None:
        request = self.requests[index]
        kept = self.kept.get(request.scope)
        assert request.once is not None
        self.outcomes[index] = Again() if kept is None else kept.answer_to(request.once)


def _render(once: Once[Any], outcome: object) -> Answer | None:
    if isinstance(outcome, CallerError):
        return once.render_error(outcome)
    return None if isinstance(outcome, Exception) else once.render(outcome)
