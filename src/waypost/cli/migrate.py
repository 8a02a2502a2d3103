"""`waypost migrate`: bring the database to this version, or show what that would do."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from sqlalchemy import make_url

from waypost.cli.flags import DatabaseFlags, database_errors
from waypost.cli.output import AsJson, print_json, remark, say
from waypost.log import Database, open_database
from waypost.log import migration as migrations
from waypost.secret_files import open_secret_key
from waypost.settings import Settings


class Outcome(msgspec.Struct, frozen=True):
    """What a migration did: the revisions before (null: a new database) and after, and the copy of a SQLite file."""

    before: str | None
    after: str
    copy: str | None = None


def migrate(*, plan: bool = False, json: AsJson = False, flags: DatabaseFlags | None = None) -> None:
    """Bring the database to this version. A SQLite file is copied beside itself before.

    ```
    waypost migrate --plan
    waypost migrate
    ```

    `waypost serve` does this for SQLite by itself. Stop the service first for SQLite; on PostgreSQL it may run.

    Parameters
    ----------
    plan
        Only show the SQL, and what each step locks.
    """
    settings = (flags or DatabaseFlags()).settings()
    if plan:
        return _show_plan(settings, json=json)
    open_secret_key(settings)  # a database is never without the key that its secrets will need
    with database_errors(), closing(open_database(settings.database_url)) as database:
        migrated = migrations.migrate(database)
    outcome = Outcome(migrated.before, migrated.after, None if migrated.copy is None else str(migrated.copy))
    if json:
        return print_json(outcome)
    if not migrated.changed:
        return remark(f"The database is at {migrated.after} already; there is nothing to do.")
    if migrated.copy is not None:
        remark(f"A copy from before is at {migrated.copy}.")
    return say(f"The database is at {migrated.after} now; it was {migrated.before or 'new'}.")


def _show_plan(settings: Settings, *, json: bool) -> None:
    with database_errors(), _opened_for_plan(settings) as database:
        sql = migrations.plan(database).strip()
        before, after = migrations.current_revision(database), migrations.newest_revision()
    if json:
        return print_json({"before": before, "after": after, "sql": sql})
    if before == after:
        return remark(f"The database is at {after} already; there is nothing to do.")
    for line in sql.splitlines():
        say(line)
    return None


@contextmanager
def _opened_for_plan(settings: Settings) -> Iterator[Database]:
    """The database, or an empty one of the same kind where SQLite has no file yet: a plan makes nothing."""
    with TemporaryDirectory(prefix="waypost-plan-") as folder:
        url = settings.database_url
        if settings.is_sqlite and not Path(make_url(url).database or "").exists():
            url = f"sqlite:///{folder}/empty.db"
        with closing(open_database(url, readers=1)) as database:
            yield database
