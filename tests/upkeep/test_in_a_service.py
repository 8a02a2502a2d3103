"""Upkeep where it runs: in the service's own process."""

import asyncio
from contextlib import closing
from pathlib import Path

import pysqlite3.dbapi2 as sqlite3

from service_process import Receiver, Service, free_port, wait_for
from upkeep.mail_receiver import a_mail_server


async def test_a_service_tells_by_e_mail_that_an_endpoint_is_failing(tmp_path: Path) -> None:
    async with a_mail_server() as box:
        mail = {"WAYPOST_SMTP_URL": f"smtp://127.0.0.1:{box.port}?from=waypost@tms.example"}
        service = Service(tmp_path, environment=mail)
        try:
            await asyncio.to_thread(service.start)
            await asyncio.to_thread(break_an_endpoint, service)
            await asyncio.to_thread(wait_for, lambda: box.mails, "the mail")
        finally:
            await asyncio.to_thread(service.kill)
    assert box.recipients == [["ops@tms.example"]]
    assert box.subjects[0].startswith("An endpoint is failing: ep_")


def break_an_endpoint(service: Service) -> None:
    """Let an endpoint that nobody listens at be owed events."""
    assert service.call("PATCH", "/v1/accounts/default", {"alert_email": "ops@tms.example"})[0] == 200
    url = f"http://127.0.0.1:{free_port()}/hooks"
    assert service.call("POST", "/v1/endpoints", {"url": url, "retry_schedule": [0.1] * 9})[0] == 201
    assert service.call("PUT", "/v1/shipments/SO-1", {})[0] == 201


def test_what_was_given_up_stands_as_failed_and_what_comes_after_is_delivered(tmp_path: Path) -> None:
    """An endpoint that was paused for three months, in a service that is started again."""
    receiver = Receiver(tmp_path / "arrivals.jsonl").start()
    service = Service(tmp_path).start()
    try:
        _, endpoint = service.call("POST", "/v1/endpoints", {"url": receiver.url})
        path = f"/v1/endpoints/{endpoint['id']}"
        service.call("POST", f"{path}/pause")
        _, old = service.call("PUT", "/v1/shipments/SO-1", {})
        assert service.stop() == 0
        grow_old(tmp_path / "waypost.db", days=95)
        service.start()
        delivery = f"{path}/deliveries/{old['events'][0]['id']}"
        wait_for(lambda: service.call("GET", delivery)[1]["state"] == "failed", "the delivery to be given up")
        _, young = service.call("PUT", "/v1/shipments/SO-2", {})
        service.call("POST", f"{path}/resume")
        arrived = wait_for(receiver.arrivals, "a webhook")
        assert arrived[0]["id"] == young["events"][0]["id"]
        assert service.call("GET", path)[1]["waiting"] <= len(young["events"])
    finally:
        service.kill()
        receiver.stop()


def grow_old(path: Path, days: int) -> None:
    """Let every event have been recorded so many days ago."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE events SET recorded_at = recorded_at - ?", (days * 24 * 3600 * 1_000_000,))
        connection.commit()
