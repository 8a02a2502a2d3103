"""Bringing a database to this version.

SQLite is migrated when the service starts, after its file was copied beside itself. PostgreSQL asks for the command
`waypost migrate`, since several services may be using it. A database that a newer Waypost migrated is refused.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2 as sqlite3
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from waypost.log.database import Database, DatabaseProblem

MIGRATIONS = Path(__file__).parent / "migrations"


class MigrationNeeded(DatabaseProblem):
    """The database is older than this Waypost."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration did: from which revision (None: a new database) to which, and the copy made before."""

    before: str | None
    after: str
    copy: Path | None = None

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return self.before != self.after


def newest_revision(scripts: Path = MIGRATIONS) -> str:
    """Give the revision of this version's schema."""
    revision = _history(scripts).get_current_head()
    assert revision is not None
    return revision


def current_revision(database: Database) -> str | None:
    """Give the revision a database is at; None for an empty one."""
    with database.writer.connect() as connection:
        return _revision(connection)


def migrate(database: Database, scripts: Path = MIGRATIONS) -> Migrated:
    """Bring the database to this version. A SQLite file that holds anything is copied beside itself before.

    `scripts` is the folder with the schema's history. Raises DatabaseProblem when a newer Waypost migrated it.
    """
    before, after = current_revision(database), newest_revision(scripts)
    if before == after:
        return Migrated(before, after)
    _refuse_newer(before, scripts)
    copy = _copy(database, before, after) if before is not None and database.path is not None else None
    with database.writer.begin() as connection:
        command.upgrade(_config(scripts, connection=connection), "head")
    return Migrated(before, after, copy)


def require_current(database: Database) -> None:
    """Raise MigrationNeeded when `waypost migrate` has to be run first, DatabaseProblem when it is newer."""
    before = current_revision(database)
    if before != newest_revision():
        _refuse_newer(before, MIGRATIONS)
        raise MigrationNeeded("The database is older than this Waypost. To bring it up to date: waypost migrate")


def plan(database: Database, scripts: Path = MIGRATIONS) -> str:
    """Give the SQL that `migrate` would run, each step under the words of its module on what it locks."""
    before = current_revision(database)
    _refuse_newer(before, scripts)
    sql = io.StringIO()
    config = _config(scripts, dialect=database.writer.dialect.name)
    config.output_buffer = sql
    command.upgrade(config, f"{before or 'base'}:head", sql=True)
    steps = reversed(list(_history(scripts).iterate_revisions("head", before or "base")))
    remarks = [f"-- {line}" for step in steps for line in (step.longdoc or step.doc).splitlines() if line]
    return "\n".join([*remarks, sql.getvalue()])


def _refuse_newer(revision: str | None, scripts: Path) -> None:
    known = {script.revision for script in _history(scripts).walk_revisions()}
    if revision is not None and revision not in known:
        raise DatabaseProblem(f"A newer Waypost made this database (its schema is {revision}). Start that version.")


def _copy(database: Database, before: str, after: str) -> Path:
    """Copy the file beside itself with SQLite's own backup, the write-ahead log included."""
    assert database.path is not None
    target = database.path.with_name(f"{database.path.name}.{before}-before-{after}")
    source = sqlite3.connect(str(database.path))
    try:
        copy = sqlite3.connect(str(target))
        try:
            source.backup(copy)
        finally:
            copy.close()
    finally:
        source.close()
    return target


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(scripts: Path, **attributes: Any) -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes.update(attributes)
    return config


def _history(scripts: Path) -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(scripts))
