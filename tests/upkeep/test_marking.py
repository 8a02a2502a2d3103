"""A database that was restored to an older state is noticed at the next start."""

import shutil
from pathlib import Path

from structlog.testing import capture_logs

from log.builders import DEFAULT, put
from waypost.clock import IdSource, SystemClock
from waypost.log import Log, Vault, open_database
from waypost.upkeep.marking import MARK_FILE, Mark, Marking, read_mark, went_back


async def a_day(url: str, vault: Vault, folder: Path, documents: int) -> list[dict[str, object]]:
    """Run a log that takes some documents, with the mark moved before and after; give what was told."""
    log = Log(open_database(url), SystemClock(), IdSource(), vault)
    await log.start()
    await log.ensure_operator("wp_operator_of_this_test")
    marking = Marking(log, folder, "here")
    with capture_logs() as told:
        await marking.turn()
        for _ in range(documents):
            await put(log)
        await marking.turn()
    await log.close()
    return [entry for entry in told if entry["event"] == "log_went_back"]


async def test_a_restored_backup_is_told_with_how_far_it_went_back(
    sqlite_url: str, vault: Vault, tmp_path: Path
) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    assert await a_day(sqlite_url, vault, tmp_path, 1) == []
    shutil.copy(path, tmp_path / "backup.db")
    assert await a_day(sqlite_url, vault, tmp_path, 3) == []
    shutil.copy(tmp_path / "backup.db", path)
    (told,) = await a_day(sqlite_url, vault, tmp_path, 0)
    assert (told["account_id"], told["marked"], told["position"]) == (DEFAULT, 5, 2)


async def test_a_folder_that_cannot_be_written_stops_nobody(sqlite_url: str, vault: Vault, tmp_path: Path) -> None:
    assert await a_day(sqlite_url, vault, tmp_path / "missing", 1) == []


async def test_it_is_told_once(sqlite_url: str, vault: Vault, tmp_path: Path) -> None:
    (tmp_path / MARK_FILE).write_text('{"database":"here","positions":{"default":9}}')
    assert len(await a_day(sqlite_url, vault, tmp_path, 1)) == 1
    assert await a_day(sqlite_url, vault, tmp_path, 1) == []


def test_an_account_that_is_gone_went_back_to_the_beginning() -> None:
    assert went_back(Mark("here", {"acme": 3}), "here", {}) == {"acme": (3, 0)}


def test_another_database_is_not_held_against_the_mark() -> None:
    assert went_back(Mark("here", {"acme": 3}), "there", {}) == {}


def test_a_mark_that_was_cut_off_is_as_none(tmp_path: Path) -> None:
    (tmp_path / MARK_FILE).write_text('{"data')
    assert read_mark(tmp_path / MARK_FILE) is None
