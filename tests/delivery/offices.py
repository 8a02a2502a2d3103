"""A worker on a real log, and ways to speak to both."""

import asyncio
import json
import random
from contextlib import asynccontextmanager

from delivery.receivers import LOOPBACK_ALLOWED
from waypost.clock import IdSource, SystemClock
from waypost.delivery.dispatch import Dispatcher
from waypost.delivery.sender import Sender
from waypost.delivery.worker import Worker
from waypost.events.patterns import Wants
from waypost.ids import AccountId
from waypost.log import AcceptReport, DeliveryFilter, EndpointSettings, units
from waypost.shipments.facts import Actor
from waypost.shipments.reading import read_document
from waypost.shipments.report import DocumentReport, EraseReport

ACCOUNT = AccountId("default")
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"
REFUSED = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\nbusy"
GONE = b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n"
EVERYTHING = Wants(("*",), None)
PATIENCE_S = 30


class Office:
    """A log with a worker that delivers from it, and ways to speak to both."""

    def __init__(self, log, worker):
        self.log = log
        self.worker = worker

    async def put(self, reference, weight="1"):
        body = json.dumps({"handling_units": [{"id": "hu_1", "gross_weight_kg": weight}]}).encode()
        report = DocumentReport(document=read_document(body), actor=Actor(kind="api", token="test"))
        return await self.log.do(AcceptReport(ACCOUNT, reference, report))

    async def erase(self, reference):
        return await self.log.do(AcceptReport(ACCOUNT, reference, EraseReport()))

    async def endpoint(self, url, wants=EVERYTHING, **settings):
        settings = EndpointSettings(url=url, **{"retry_schedule": (0.1, 0.1, 0.1), **settings})
        return await self.log.do(units.create_endpoint(ACCOUNT, settings, wants, secret=SECRET))

    async def settled(self, endpoint):
        """Wait until nothing waits for the endpoint, and give it."""
        return await self.until(endpoint, lambda found, waiting: waiting == 0)

    async def until(self, endpoint, condition):
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = await self.log.get_endpoint(ACCOUNT, endpoint.endpoint_id)
                if condition(found, (await self.log.waiting(ACCOUNT, endpoint.endpoint_id)).count):
                    return found
                await asyncio.sleep(0.01)

    async def states(self, endpoint):
        page = await self.log.list_deliveries(ACCOUNT, endpoint.endpoint_id, DeliveryFilter())
        return [delivery.state for delivery in page.items]


@asynccontextmanager
async def working(log, store=None, clock=None, owner="one", **options):
    """Run a worker over `log`, seen through `store` if there is one, until the end of the block."""
    clock = clock or SystemClock()
    worker = Worker(
        store or log, Dispatcher(Sender(LOOPBACK_ALLOWED), clock), clock, IdSource(), owner=owner,
        dice=random.Random(1), **options,
    )  # fmt: skip

    def tell(committed):
        if running.done():
            return  # a worker that was stopped hears nothing
        for account_id, positions in committed.erased.items():
            worker.events_rewritten(account_id, positions)
        for name in committed.endpoints:
            worker.endpoint_changed(*name)
        worker.log_grew(committed.accounts)

    running = asyncio.create_task(worker.run())
    log.on_commit(tell)
    try:
        yield Office(log, worker)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def events_at(receiver):
    """The events of the requests that a receiver of single events has had."""
    return [json.loads(body) for body in receiver.bodies]


async def eventually(condition):
    """Wait until `condition` holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - real sockets and a real database
            await asyncio.sleep(0.01)
