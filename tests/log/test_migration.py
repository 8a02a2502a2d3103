"""The schema is what its history makes of it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from waypost.log import Database, DatabaseProblem, MigrationNeeded, open_database
from waypost.log.migration import MIGRATIONS, migrate, newest_revision, plan, require_current
from waypost.log.tables import metadata

NEXT_STEP = """
\"\"\"A step of the future.

Locks: nothing.
\"\"\"

from alembic import op

revision = "next"
down_revision = "{before}"


def upgrade() -> None:
    op.execute("CREATE TABLE future (name TEXT)")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without a table."""
    url = f"sqlite:///{tmp_path}/new.db" if request.param == "sqlite" else request.getfixturevalue("empty_pg_url")
    database = open_database(url)
    yield database
    database.close()


@pytest.fixture
def future(tmp_path: Path) -> Path:
    """The schema's history with one step more."""
    scripts = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "next_step.py").write_text(NEXT_STEP.format(before=newest_revision()))
    return scripts


def test_all_migrations_make_the_schema_of_the_tables(database: Database) -> None:
    with database.writer.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_all_migrations_make_the_constraints_of_a_fresh_schema(database: Database, empty: Database) -> None:
    if database.is_sqlite != empty.is_sqlite:
        pytest.skip("a schema is compared with one of its own kind")
    migrate(empty)  # for its own table, which is not compared
    with empty.writer.begin() as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
    assert _constraints(database) == _constraints(empty)


def _constraints(database: Database) -> list[str]:
    """Every table, constraint and index, as the database itself writes them down."""
    sqlite = "SELECT sql FROM sqlite_master WHERE name NOT LIKE 'alembic%' AND sql IS NOT NULL"
    postgresql = """SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
        UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid <> to_regclass('alembic_version')::oid"""
    with database.readers.connect() as connection:
        rows = connection.execute(text(sqlite if database.is_sqlite else postgresql))
        return sorted(" ".join(sorted(line.strip(" \t,") for line in row[0].splitlines())) for row in rows)


def test_migrating_twice_does_nothing(empty: Database) -> None:
    assert migrate(empty).changed
    assert not migrate(empty).changed


def test_a_new_sqlite_file_is_not_copied(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/new.db")
    assert migrate(database).copy is None
    database.close()


def test_sqlite_is_copied_beside_itself_before_it_is_migrated(sqlite_url: str, future: Path) -> None:
    database = open_database(sqlite_url)
    with database.writer.begin() as connection:
        connection.execute(text("INSERT INTO event_keys VALUES ('default', 'still in the write-ahead log', 1)"))
    migrated = migrate(database, future)
    database.close()
    assert migrated.copy is not None
    copy = open_database(f"sqlite:///{migrated.copy}")
    with copy.readers.connect() as connection:
        assert connection.execute(text("SELECT key FROM event_keys")).scalar() == "still in the write-ahead log"
    copy.close()


def test_a_database_that_is_older_asks_for_the_command(empty: Database) -> None:
    with pytest.raises(MigrationNeeded, match="waypost migrate"):
        require_current(empty)
    migrate(empty)
    require_current(empty)


def test_a_database_of_a_newer_version_is_refused(empty: Database, future: Path) -> None:
    migrate(empty, future)
    for act in (migrate, require_current, plan):
        with pytest.raises(DatabaseProblem, match="newer Waypost"):
            act(empty)


def test_the_plan_shows_the_sql_and_what_it_locks(empty: Database, future: Path) -> None:
    migrate(empty)
    shown = plan(empty, future)
    assert "Locks: nothing." in shown
    assert "CREATE TABLE future" in shown
