"""A page of a TMS that shows a customer the Waypost pages of their account, in a frame.

    python tms.py --waypost http://127.0.0.1:8484 --account fossvik --token-file waypost-data/operator-token

Then open http://localhost:9000. The page is of another origin than Waypost, as a TMS is. Only its server knows the
operator's token: for each view it asks for a portal link, which works once, and puts it into the frame.

Nothing but Python's own library is needed.
"""

import argparse
import json
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Fossvik TMS</title>
<style>body {{ margin: 0; font: 14px sans-serif; }} h1 {{ font-size: 16px; margin: 12px 16px; }}
iframe {{ width: 100%; height: calc(100vh - 48px); border: 0; border-top: 1px solid #ccc; }}</style>
<h1>Fossvik TMS › Integrations</h1>
<iframe src="{url}" title="Webhooks"></iframe>
</html>
"""


class Waypost:
    """The part of the API that a TMS needs to show the pages to a customer."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self.token = token

    def call(self, method: str, path: str, body: dict) -> dict:
        """Make one call as the operator, and give its answer."""
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        request = Request(self.url + path, json.dumps(body).encode(), headers, method=method)  # noqa: S310 - our own
        with urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)

    def allow_frame(self, account: str, origin: str) -> None:
        """Let pages of `origin` hold the account's pages in a frame, in our colour."""
        portal = {"origins": [origin], "accent": "#7a3e9d"}
        self.call("PATCH", f"/v1/accounts/{quote(account, safe='')}", {"portal": portal})

    def portal_link(self, account: str, user: dict) -> str:
        """Give a link that signs one user in, once, for an hour. The user stands in Waypost's audit log."""
        body = {"role": "manager", "expires_in_seconds": 3600, "user": user}
        return self.call("POST", f"/v1/accounts/{quote(account, safe='')}/portal-links", body)["url"]


def handler(waypost: Waypost, account: str) -> type[BaseHTTPRequestHandler]:
    """Give what answers the browser."""

    class Tms(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/":
                self.send_error(404)
                return
            # A real TMS puts in who is signed in to it, and asks only for the accounts that are theirs.
            url = waypost.portal_link(account, {"id": "u-17", "name": "Jonas Tamm"})
            page = PAGE.format(url=escape(url)).encode()
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("cache-control", "no-store")  # the link in it works once
            self.send_header("content-length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

    return Tms


def main() -> None:
    """Serve the page until Ctrl-C."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--waypost", default="http://127.0.0.1:8484", help="where Waypost is")
    options.add_argument("--account", default="default", help="the customer's account")
    options.add_argument("--token-file", type=Path, required=True, help="file with the operator's token")
    options.add_argument("--port", type=int, default=9000)
    given = options.parse_args()
    waypost = Waypost(given.waypost, given.token_file.read_text(encoding="ascii").strip())
    server = ThreadingHTTPServer(("127.0.0.1", given.port), handler(waypost, given.account))
    port = server.server_address[1]
    waypost.allow_frame(given.account, f"http://localhost:{port}")
    print(f"The TMS answers at http://localhost:{port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
