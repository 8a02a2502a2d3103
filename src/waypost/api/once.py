"""Requests that are done once for their Idempotency-Key, however often they are sent."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar, overload

from waypost.api.call import Call
from waypost.api.problems import problem_reply
from waypost.api.reply import Reply
from waypost.errors import BadRequest, CallerError
from waypost.log import Accepted, AcceptReport, Answer, Once, Tx, Unit, is_kept, refusal

T = TypeVar("T")

KEY_LENGTH_MAX = 255


@overload
async def answer_once(call: Call, work: AcceptReport, render: Callable[[Accepted], Reply]) -> Reply: ...
@overload
async def answer_once(call: Call, work: Unit[T], render: Callable[[T], Reply], *, secret: bool = False) -> Reply: ...
async def answer_once(
    call: Call, work: Unit[Any] | AcceptReport, render: Callable[[Any], Reply], *, secret: bool = False
) -> Reply:
    """Do `work` and answer as `render` writes it; with a key, as it was answered the first time.

    The answer is kept in the transaction of the work. `secret` says that it holds a secret, so that it is encrypted.
    """
    once, log = once_of(call, render, secret=secret), call.services.log
    if once is None:
        return render(await log.do(work))
    if isinstance(work, Unit) and work.account_id != call.account_id:
        # A key belongs to the account that the call acts on, also where an operator changes another.
        work = replace(work, account_id=call.account_id, others=(*work.others, work.account_id))
    return _reply(await log.do_once(work, once))


async def answer_once_outside(call: Call, act: Callable[[], Awaitable[T]], render: Callable[[T], Reply]) -> Reply:
    """Do something that is in no transaction of the log, and answer; with a key, once.

    A second request with the key waits for the first, as long as both come to this process.
    """
    once = once_of(call, render, secret=False)
    if once is None:
        return render(await act())
    log = call.services.log
    async with call.shared.one_at_a_time((call.account_id, once.path, once.key)):
        try:
            return _reply(await log.do_once(Unit(call.account_id, _not_kept), once))
        except _NotKeptError:
            outcome = await act()
        return _reply(await log.do_once(Unit(call.account_id, lambda _: outcome), once))


class _NotKeptError(Exception):
    """Nothing is kept under this key yet."""


def _not_kept(_: Tx) -> Any:
    raise _NotKeptError


async def answer_refusal(call: Call, error: CallerError) -> Reply:
    """Answer with the problem; with a key, keep it, or answer what the key was answered before."""
    reply = problem_reply(error, call.request_id)
    if not call.body_was_read or idempotency_key(call) is None or not is_kept(_answer(reply)):
        return reply

    def render(_: object) -> Reply:
        return reply

    once = once_of(call, render, secret=False)
    assert once is not None
    return _reply(await call.services.log.do_once(refusal(call.account_id, error), once))


def once_of(call: Call, render: Callable[[T], Reply], *, secret: bool) -> Once[T] | None:
    """Give what the log needs to do this call once, or None when it came without a key."""
    key = idempotency_key(call)
    if key is None:
        return None
    return Once(
        key=key,
        method=call.operation.method,
        path=call.scope["path"],
        body_sha256=hashlib.sha256(call.body_read).digest(),
        render=lambda outcome: _answer(render(outcome)),
        render_error=lambda error: _answer(problem_reply(error, call.request_id)),
        secret=secret,
    )


def idempotency_key(call: Call) -> str | None:
    """Give the Idempotency-Key of a call that takes one; BadRequest for a key that cannot be one."""
    if not call.operation.takes_idempotency_key:
        return None
    key = call.header(b"idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= KEY_LENGTH_MAX or not key.isascii() or not key.isprintable():
        raise BadRequest(f"An Idempotency-Key has 1 to {KEY_LENGTH_MAX} printable ASCII characters.")
    return key


def _answer(reply: Reply) -> Answer:
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Answer(reply.status, headers | {"content-type": reply.content_type.decode()}, reply.body)


def _reply(answer: Answer) -> Reply:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    content_type = headers.pop("content-type", "application/json").encode()
    pairs = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return Reply(answer.status, answer.body, pairs, content_type)
