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


async def addresses_of(host: str) -> list[str]:
    """Give the IP addresses of `host`, in the order in which the system prefers them, each once.

    Raises socket.gaierror when the name has none. Cancelling the caller leaves the question to the others who wait.
    """
    return await asyncio.shield(asyncio.wrap_future(_questions.ask(host)))


def system_addresses(host: str) -> list[str]:
    """Ask the system, and wait for its answer."""
    # No AI_ADDRCONFIG: it would hide the IPv6 addresses of a name from the judgement on a machine without IPv6.
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Questions:
    """Names that are being resolved, and the threads that do it: as many as are needed at once, up to the limit."""

    def __init__(self, resolve: Callable[[str], list[str]] = system_addresses) -> None:
        self._resolve = resolve
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[list[str]]] = {}
        self._waiting: queue.SimpleQueue[tuple[str, Future[list[str]]]] = queue.SimpleQueue()
        self._threads = 0

    def ask(self, host: str) -> Future[list[str]]:
        """Give the answer to come for `host`: a new one, unless the same question is under way."""
        with self._lock:
            answer = self._under_way.get(host)
            if answer is None:
                answer = self._under_way[host] = Future()
                answer.set_running_or_notify_cancel()
                self._waiting.put((host, answer))
                if self._threads < min(len(self._under_way), LOOKUP_THREADS_MAX):
                    self._threads += 1
                    threading.Thread(target=self._work, name=f"lookup-{self._threads}", daemon=True).start()
            return answer

    def _work(self) -> None:
        while True:
            host, answer = self._waiting.get()
            try:
                addresses = self._resolve(host)
            except (OSError, ValueError) as error:  # gaierror, and names that cannot even be asked for
                self._end(host)
                answer.set_exception(error)
            else:
                self._end(host)
                answer.set_result(addresses)

    def _end(self, host: str) -> None:
        with self._lock:
            del self._under_way[host]


_questions = Questions()
