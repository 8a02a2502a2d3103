"""Databases for every test that needs one: a SQLite file, and a PostgreSQL 18 that the session starts itself.

`database` runs a test on both. One server serves all workers of pytest-xdist, each with a database of its own, which is
emptied before each test.
"""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from postgresql_server import running_server
from waypost.clock import IdSource, SystemClock
from waypost.log import Database, Log, Vault, open_database
from waypost.log.migration import migrate
from waypost.log.tables import metadata

KINDS = ("sqlite", "postgresql")
OPERATOR_TOKEN = "wp_operator"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")

_numbers = count()


@pytest.fixture(scope="session")
def pg_server() -> Iterator[str]:
    """The URL of the server, with the database that it was made with."""
    with running_server() as url:
        yield url


@pytest.fixture(scope="session")
def pg_database(pg_server: str) -> str:
    """The URL of this worker's own database, at the newest schema."""
    _in_server(pg_server, f"CREATE DATABASE waypost_{WORKER}")
    url = _pg_url(pg_server, f"waypost_{WORKER}")
    database = open_database(url)
    migrate(database)
    database.close()
    return url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file that others are copied from."""
    path = tmp_path_factory.mktemp("template") / "waypost.db"
    database = open_database(f"sqlite:///{path}")
    migrate(database)
    database.close()
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a migrated SQLite file with nothing in it."""
    shutil.copy(sqlite_template, tmp_path / "waypost.db")
    return f"sqlite:///{tmp_path / 'waypost.db'}"


@pytest.fixture
def pg_url(pg_database: str) -> str:
    """The URL of a migrated PostgreSQL database with nothing in it, and nobody left from the test before."""
    tables = ";".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables))
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    _in_server(pg_database, f"{others} AND pid <> pg_backend_pid()")
    _in_server(pg_database, tables)  # quicker than a database of its own, and than TRUNCATE while there is so little
    return pg_database


@pytest.fixture
def empty_pg_url(pg_server: str) -> Iterator[str]:
    """The URL of a PostgreSQL database without any table."""
    name = f"empty_{WORKER}_{next(_numbers)}"
    _in_server(pg_server, f"CREATE DATABASE {name}")
    yield _pg_url(pg_server, name)
    _in_server(pg_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated, empty database; the test runs once for each kind."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "pg_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated, empty database; the test runs once for each kind."""
    database = open_database(database_url)
    yield database
    database.close()


@pytest.fixture
def vault() -> Vault:
    """A vault with a key of its own."""
    return Vault(bytes(range(32)))


@pytest.fixture
async def log(database: Database, vault: Vault) -> AsyncIterator[Log]:
    """A started log with the account `default`, whose operator's token is `OPERATOR_TOKEN`."""
    log = Log(database, SystemClock(), IdSource(), vault)
    await log.start()
    await log.ensure_operator(OPERATOR_TOKEN)
    yield log
    await log.close()


def _in_server(server: str, statement: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement)


def _pg_url(server: str, name: str) -> str:
    """The server's URL with another database. The package writes `…/postgres?host=…`."""
    head, _, tail = server.partition("/postgres?")
    return f"{head}/{name}?{tail}"
