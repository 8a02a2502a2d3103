"""Upkeep where it runs: in the service's own process."""

import asyncio
from pathlib import Path

from service_process import Service, free_port, wait_for
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
