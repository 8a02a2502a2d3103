"""`waypost serve`: the API, the pages and delivery in one service."""

import uvloop

from waypost.cli.flags import ServiceFlags, database_errors
from waypost.cli.output import remark, say
from waypost.entering import FirstLink
from waypost.secret_files import OPERATOR_TOKEN_FILE, OperatorToken
from waypost.service import run_service


def serve(*, flags: ServiceFlags | None = None) -> None:
    """Run the API and delivery in one service, until Ctrl-C or SIGTERM.

    ```
    waypost serve
    waypost serve --port 9000 --data-dir /srv/waypost --egress-allow 10.1.0.0/16
    ```

    Settings come from a flag, else the environment (`WAYPOST_PORT`), else `waypost.toml`, else the default;
    `waypost doctor` shows each and where it came from. On SQLite the database is made and brought to this version;
    on PostgreSQL `waypost migrate` does that.
    """
    settings = (flags or ServiceFlags()).settings()

    def announce(token: OperatorToken, link: FirstLink | None) -> None:
        if token.made:
            say(f"Operator token, shown this once: {token.text}")
            remark(f"It is also in {settings.data_dir / OPERATOR_TOKEN_FILE}.")
        if link is not None:
            say(f"Sign in for the first time, once, within a day: {link.url}")
        remark(f"Waypost answers at {settings.local_url}. Ctrl-C stops it.")

    with database_errors():
        uvloop.run(run_service(settings, ready=announce))
    remark("Waypost has stopped.")
