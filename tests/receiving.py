"""A real receiver in another process: it answers 204 to each POST and writes down what arrived, in order.

Run as `python receiving.py PORT FILE [--delay-ms N] [--gate FILE]`: each arrival is one JSON line in FILE, written
before the answer. While the gate's file is there, nothing is answered.
The tests read the file; `SIGKILL` of the service does not touch it.
"""

import argparse
import asyncio
import json
from pathlib import Path
from typing import IO

LINE_MAX = 64 * 1024


class Arrivals:
    """Writes one line for each request that came whole."""

    def __init__(self, file: IO[str], delay_s: float, gate: Path | None) -> None:
        self._file = file
        self._delay_s = delay_s
        self._gate = gate

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request_line = await reader.readline()
        if not request_line:
            return False
        headers: dict[str, str] = {}
        while (line := await reader.readline()) not in {b"\r\n", b""}:
            name, _, value = line.decode().partition(":")
            headers[name.strip().lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        event = json.loads(body)
        told = {name: event.get(name) for name in ("id", "type", "reference", "shipment_id", "sequence", "position")}
        print(json.dumps(told | {"attempt": int(headers["waypost-attempt"])}), file=self._file, flush=True)
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        while self._gate is not None and self._gate.exists():  # noqa: ASYNC110 - it is another process that opens it
            await asyncio.sleep(0.01)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        return True


async def main(port: int, path: Path, delay_s: float, gate: Path | None) -> None:
    with path.open("a", encoding="utf-8") as file:
        arrivals = Arrivals(file, delay_s, gate)
        server = await asyncio.start_server(arrivals.serve, "127.0.0.1", port, limit=LINE_MAX, backlog=512)
        print("listening", flush=True)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--gate", type=Path)
    options = parser.parse_args()
    asyncio.run(main(options.port, options.file, options.delay_ms / 1000, options.gate))
