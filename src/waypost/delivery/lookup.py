"""Resolves names as the system does (hosts file included), in threads, without a cache.

Answers are kept for nobody: each call asks anew, except that calls for a name whose question is still under way share
its answer. So a name whose servers are silent holds one thread, however many requests wait for it. The threads are
daemons, because a question can hang for half a minute and nothing may wait for it at the end of the process.
"""

import asyncio
import queue
import socket
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

Lookup = Callable[[str], Awaitable[list[str]]]

LOOKUP_THREADS_MAX = 64  # names whose servers are silent hold one each; the others share the rest

_Answer = Future[list[str]]

_lock = threading.Lock()
_under_way: dict[str, _Answer] = {}
_questions: queue.SimpleQueue[tuple[str, _Answer]] = queue.SimpleQueue()
_threads = 0
_idle = 0


async def addresses_of(host: str) -> list[str]:
    """Give the IP addresses of `host`, in the order in which the system prefers them, each once.

    Raises socket.gaierror when the name has none. Cancelling the caller leaves the question to the others who wait.
    """
    return await asyncio.shield(asyncio.wrap_future(_ask(host)))


def _ask(host: str) -> _Answer:
    with _lock:
        answer = _under_way.get(host)
        if answer is None:
            answer = _under_way[host] = Future()
            answer.set_running_or_notify_cancel()
            _questions.put((host, answer))
            _start_thread_if_needed()
        return answer


def _start_thread_if_needed() -> None:
    global _threads  # noqa: PLW0603
    if _idle < _questions.qsize() and _threads < LOOKUP_THREADS_MAX:
        _threads += 1
        threading.Thread(target=_answer_questions, name=f"lookup-{_threads}", daemon=True).start()


def _answer_questions() -> None:
    global _idle  # noqa: PLW0603
    while True:
        with _lock:
            _idle += 1
        host, answer = _questions.get()
        with _lock:
            _idle -= 1
        try:
            addresses = _system_addresses(host)
        except Exception as error:  # noqa: BLE001
            # Whatever getaddrinfo raises belongs to those who asked; the thread goes on.
            _finish(host)
            answer.set_exception(error)
        else:
            _finish(host)
            answer.set_result(addresses)


def _finish(host: str) -> None:
    with _lock:
        del _under_way[host]


def _system_addresses(host: str) -> list[str]:
    # No AI_ADDRCONFIG: it would hide the IPv6 addresses of a name from the judgement on a machine without IPv6.
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
