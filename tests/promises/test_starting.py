"""Starting `waypost serve`: on PostgreSQL as on a file, and what it says when it cannot start."""

import base64
import socket
import subprocess
import sys

from service_process import PATIENCE_S, SECRET_KEY, Receiver, Service, free_port, wait_for


def waypost(folder, url, *arguments):
    command = [sys.executable, "-m", "waypost.cli", *arguments]
    environment = {"WAYPOST_DATABASE_URL": url, "WAYPOST_DATA_DIR": str(folder), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S)


def test_serve_asks_for_the_migration_in_one_sentence(tmp_path, empty_pg_url):
    refused = waypost(tmp_path, empty_pg_url, "serve", "--port", "1")
    assert refused.returncode in {1, 2}
    assert "waypost migrate" in waypost(tmp_path, empty_pg_url, "serve").stderr
    assert "Traceback" not in refused.stderr


def test_after_the_migration_a_shipment_reaches_its_receiver(tmp_path, empty_pg_url):
    migrated = waypost(tmp_path, empty_pg_url, "migrate")
    assert migrated.returncode == 0, migrated.stderr
    receiver = Receiver(tmp_path / "arrivals.jsonl").start()
    service = Service(tmp_path, environment={"WAYPOST_DATABASE_URL": empty_pg_url}).start()
    try:
        _, endpoint = service.call("POST", "/v1/endpoints", {"url": receiver.url})
        assert service.call("PUT", "/v1/shipments/SO-1", {"tags": ["priority"]})[0] == 201
        path = f"/v1/endpoints/{endpoint['id']}"
        wait_for(lambda: service.call("GET", path)[1]["waiting"] == 0, "everything to be settled")
        assert [arrival["sequence"] for arrival in receiver.arrivals()] == [1, 2]
    finally:
        service.stop()
        receiver.stop()


def test_an_address_in_use_is_one_sentence(tmp_path):
    service = Service(tmp_path).start()
    try:
        (tmp_path / "other").mkdir()
        command = [sys.executable, "-m", "waypost.cli", "serve", "--port", str(service.port), "--data-dir", "other"]
        refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S)
        assert refused.returncode == 2
        assert "cannot be listened on" in refused.stderr
        assert "Traceback" not in refused.stderr
    finally:
        service.kill()


def test_another_secret_key_than_before_is_refused_at_the_start(tmp_path):
    service = Service(tmp_path).start()
    status, _ = service.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1:9/hooks"})
    service.stop()
    assert status == 201
    other_key = base64.b64encode(bytes(32)).decode()
    environment = {"WAYPOST_SECRET_KEY": other_key, "WAYPOST_DATA_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "waypost.cli", "serve", "--port", str(service.port)]
    refused = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S)
    assert refused.returncode == 1
    assert "WAYPOST_SECRET_KEY" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_start_that_is_refused_leaves_no_token_behind(tmp_path):
    service = Service(tmp_path).start()  # its token comes from the environment, so the folder holds none
    try:
        command = [sys.executable, "-m", "waypost.cli", "serve", "--data-dir", str(tmp_path), "--port"]
        environment = {"WAYPOST_SECRET_KEY": SECRET_KEY, "PATH": "/usr/bin:/bin"}
        command.append(str(free_port()))
        refused = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert refused.returncode == 1
        assert "in use" in refused.stderr
        assert refused.stdout == ""
        assert not (tmp_path / "operator-token").exists()
    finally:
        service.kill()


def test_a_client_that_never_ends_its_request_does_not_hold_up_the_stop(tmp_path):
    service = Service(tmp_path).start()
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(b"PUT /v1/shipments/SO-1 HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf of it")
        assert service.stop() == 0  # waits for the patience of a test, no longer
