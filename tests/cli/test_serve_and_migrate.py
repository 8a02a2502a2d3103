"""What begins and ends with the database: migrate, the first start, and the end of a service."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from cli.running import environment, waypost
from service_process import free_port, wait_for


def test_a_plan_shows_the_sql_and_makes_nothing(tmp_path):
    ran = waypost("migrate", "--plan", folder=tmp_path)
    assert ran.code == 0, ran.err
    assert "CREATE TABLE events" in ran.out
    assert list(tmp_path.iterdir()) == []


def test_migrate_makes_the_database_once(tmp_path):
    assert waypost("migrate", folder=tmp_path).out.startswith("The database is at ")
    again = waypost("migrate", folder=tmp_path)
    assert (again.code, again.out) == (0, "")
    assert "there is nothing to do" in again.err


def test_migrate_brings_an_empty_postgresql_to_this_version(empty_pg_url, tmp_path):
    assert "CREATE TABLE events" in waypost("migrate", "--plan", "--database-url", empty_pg_url, folder=tmp_path).out
    assert waypost("migrate", "--database-url", empty_pg_url, folder=tmp_path).code == 0
    assert "nothing to do" in waypost("migrate", "--plan", "--database-url", empty_pg_url, folder=tmp_path).err


def test_doctor_names_a_postgresql_that_is_away(tmp_path):
    given = {"WAYPOST_DATABASE_URL": f"postgresql://waypost:canary@127.0.0.1:{free_port()}/waypost"}
    ran = waypost("doctor", given=given, folder=tmp_path)
    assert ran.code == 1
    assert "fail\tPostgreSQL\t" in ran.out
    assert "canary" not in ran.out + ran.err


def serve(folder: Path, port: int) -> subprocess.Popen[str]:
    """Start `waypost serve` with nothing set but its port."""
    command = [sys.executable, "-m", "waypost.cli", "serve", "--port", str(port)]
    return subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def is_ready(folder: Path, port: int) -> bool:
    ran = waypost("events", "list", given={"WAYPOST_PORT": str(port)}, folder=folder)
    return ran.code == 0


def test_the_first_start_prints_the_operators_token_and_the_second_does_not(tmp_path):
    port = free_port()
    printed = []
    for _ in range(2):
        service = serve(tmp_path, port)
        wait_for(lambda: is_ready(tmp_path, port), "the service to answer")
        service.send_signal(signal.SIGTERM)
        out, _err = service.communicate(timeout=30)
        assert service.returncode == 0
        printed.append(out)
    token = (tmp_path / "waypost-data" / "operator-token").read_text().strip()
    first, second = (lines.splitlines() for lines in printed)
    assert first[0] == f"Operator token, shown this once: {token}"
    assert len(second) == 1  # the link for the first owner, while there is nobody
    for line in (first[1], second[0]):
        assert line.startswith(f"Sign in for the first time, once, within a day: http://127.0.0.1:{port}/join/")
    assert first[1] != second[0]


def test_ctrl_c_ends_the_service_in_good_order(tmp_path):
    port = free_port()
    service = serve(tmp_path, port)
    wait_for(lambda: is_ready(tmp_path, port), "the service to answer")
    os.kill(service.pid, signal.SIGINT)
    _out, err = service.communicate(timeout=30)
    assert service.returncode == 0
    assert "Traceback" not in err


def test_a_port_in_use_is_one_sentence(tmp_path):
    port = free_port()
    service = serve(tmp_path, port)
    wait_for(lambda: is_ready(tmp_path, port), "the service to answer")
    ran = waypost("serve", "--port", str(port), "--data-dir", str(tmp_path / "other"), folder=tmp_path)
    assert ran.code in {1, 2}
    assert "Choose another --port" in ran.err
    service.terminate()
    service.communicate(timeout=30)
