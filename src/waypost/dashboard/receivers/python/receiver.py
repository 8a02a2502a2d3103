"""A small receiver: each event takes effect exactly once, in a database of its own.

    WEBHOOK_SECRET=whsec_… python receiver.py 9000

It listens on the loopback address and says so; put it behind your web server for anything else.
"""

import os
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from waypost.receiver import Inbox, SignatureError, verify

SECRET = os.environ["WEBHOOK_SECRET"]

database = sqlite3.connect("orders.db")
database.execute("CREATE TABLE IF NOT EXISTS orders (reference TEXT PRIMARY KEY, status TEXT NOT NULL)")
inbox = Inbox(database)


def update_order(arrival):
    """The effect: an order gets its shipment's status. It runs in the transaction that marks the event as handled."""
    if arrival.is_late:  # a newer event of this shipment came before; its state is the newer one
        return
    event = arrival.event
    arrival.connection.execute(
        "INSERT OR REPLACE INTO orders (reference, status) VALUES (?, ?)",
        (event.reference, event.data["shipment"]["status"]),
    )


class Hook(BaseHTTPRequestHandler):
    """Answers 204 only when the effect is on disk; anything else makes Waypost send the event again."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            event = verify(body, self.headers, secret=SECRET)
        except SignatureError as error:
            self.send_error(401, str(error))
            return
        inbox.handle(event, update_order)
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Hook)
    print(f"listening on http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
