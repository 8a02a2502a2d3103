"""Put on the path of a service under test: writes down every address that it connects to or looks up.

The interpreter tells of what its own sockets do. uvloop connects and looks up in C, where nobody is told, so its loop
is asked to tell as well.
"""

import functools
import os
import sys
from typing import Any

import uvloop

_WATCHED = {"socket.connect", "socket.getaddrinfo", "socket.sendto"}
_file = os.open(os.environ["CONNECTIONS_FILE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _write(event: str, told: object) -> None:
    os.write(_file, f"{event} {told!r}\n".encode())


def _record(event: str, arguments: tuple[object, ...]) -> None:
    if event in _WATCHED:
        # socket.connect and sendto: (socket, address); getaddrinfo: (host, port, …).
        _write(event, arguments[1] if event != "socket.getaddrinfo" else arguments[:2])


def _telling(name: str, event: str, places: slice) -> None:
    plain = getattr(uvloop.Loop, name)

    @functools.wraps(plain)
    def told(self: Any, *arguments: Any, **named: Any) -> Any:
        given = [*arguments[places], None, None]
        address = (named.get("host", given[0]), named.get("port", given[1]))
        if address[0] is not None:
            _write(event, address)
        return plain(self, *arguments, **named)

    setattr(uvloop.Loop, name, told)


sys.addaudithook(_record)
_telling("create_connection", "socket.connect", slice(1, 3))  # (protocol_factory, host, port, …)
_telling("getaddrinfo", "socket.getaddrinfo", slice(0, 2))  # (host, port, …)
