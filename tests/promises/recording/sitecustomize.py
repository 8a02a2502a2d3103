"""Put on the path of a service under test: writes down every address that Python connects to or looks up."""

import os
import sys

_WATCHED = {"socket.connect", "socket.getaddrinfo", "socket.sendto"}
_file = os.open(os.environ["CONNECTIONS_FILE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _record(event: str, arguments: tuple[object, ...]) -> None:
    if event in _WATCHED:
        # socket.connect and sendto: (socket, address); getaddrinfo: (host, port, …).
        told = arguments[1] if event != "socket.getaddrinfo" else arguments[:2]
        os.write(_file, f"{event} {told!r}\n".encode())


sys.addaudithook(_record)
