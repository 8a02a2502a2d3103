"""How the two databases are opened."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from waypost.log import Database, DatabaseInUse, DatabaseProblem, open_database, sqlite_version
from waypost.log.database import database_sockets


def test_a_second_service_on_the_same_sqlite_file_is_refused(sqlite_url: str) -> None:
    first = open_database(sqlite_url)
    with pytest.raises(DatabaseInUse, match=r"is in use by process \d+"):
        open_database(sqlite_url)
    first.close()
    open_database(sqlite_url).close()


def test_another_process_is_refused_too(sqlite_url: str) -> None:
    held = open_database(sqlite_url)
    code = f"from waypost.log import open_database; open_database({sqlite_url!r})"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    held.close()
    assert "DatabaseInUse" in other.stderr


def test_readers_cannot_write(database: Database) -> None:
    with database.readers.connect() as connection, pytest.raises(DBAPIError, match=r"readonly|read-only"):
        connection.execute(text("DELETE FROM accounts"))


def test_sqlite_keeps_every_commit_on_disk(sqlite_url: str) -> None:
    database = open_database(sqlite_url)
    with database.writer.connect() as connection:
        settings = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]
    database.close()
    assert settings == ["wal", 2]  # 2 is FULL


def test_sqlite_is_one_without_the_race_at_the_reset_of_the_log() -> None:
    assert tuple(map(int, sqlite_version().split("."))) >= (3, 51, 3)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://localhost/waypost", "no url at all"])
def test_a_database_that_cannot_keep_a_promise_is_refused(url: str) -> None:
    with pytest.raises(DatabaseProblem):
        open_database(url)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseProblem, match="cannot be opened"):
        open_database(f"sqlite:///{tmp_path}/file/waypost.db")


AT_TWO_ADDRESSES = {("10.0.0.5", 5432), ("10.0.0.6", 5432)}


@pytest.mark.parametrize(
    ("url", "sockets"),
    [
        ("postgresql://waypost@db.corp.test/waypost", {("db.corp.test", 5432)}),
        ("postgresql://waypost@10.0.0.5:6432/waypost", {("10.0.0.5", 6432)}),
        ("postgresql:///waypost", {("localhost", 5432)}),
        ("postgresql:///waypost?host=/run/postgresql", {("localhost", 5432)}),
        ("postgresql:///waypost?host=db.corp.test&port=6432", {("db.corp.test", 5432), ("db.corp.test", 6432)}),
        ("postgresql:///waypost?host=a.test:5433&host=b.test", {("a.test", 5433), ("b.test", 5432)}),
        ("postgresql://a.test/waypost?hostaddr=10.0.0.5,10.0.0.6", {("a.test", 5432), *AT_TWO_ADDRESSES}),
        ("postgresql://[fd00::5]/waypost", {("fd00::5", 5432)}),
    ],
)
def test_every_server_that_a_url_names_is_known_as_ours(url: str, sockets: set[tuple[str, int]]) -> None:
    assert database_sockets(url) == sockets
