"""What the machine around the service asks: is it alive, is it ready, how does it fare."""

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from waypost.api.call import Call
from waypost.api.operations import Access, Answer, Table
from waypost.api.reply import Reply, json_reply
from waypost.api.shapes import Alive, Ready
from waypost.errors import Unavailable

TABLE = Table("Operation")


@TABLE.add(
    "GET",
    "/healthz",
    access=Access.PUBLIC,
    summary="Alive",
    answers=Answer(status=200, type=Alive, description="The process answers."),
)
async def get_health(call: Call) -> Reply:
    """Say that the process is alive. Restart it when this does not answer."""
    return json_reply(Alive(alive=True))


@TABLE.add(
    "GET",
    "/readyz",
    access=Access.PUBLIC,
    summary="Ready",
    answers=[
        Answer(status=200, type=Ready, description="Database and delivery work."),
        Answer(
            status=503, type=Ready, description="One of them does not.", headers={"Retry-After": "Seconds to wait."}
        ),
    ],
)
async def get_readiness(call: Call) -> Reply:
    """Say whether the service can do its work: the database answers, and delivery runs."""
    delivery = call.services.delivery.ready()
    try:
        await call.services.log.check()
        database = True
    except Unavailable:
        database = False
    ready = Ready(ready=database and delivery, database=database, delivery=delivery)
    return json_reply(ready, 200) if ready.ready else json_reply(ready, 503, ((b"retry-after", b"1"),))


@TABLE.add(
    "GET",
    "/metrics",
    access=Access.METRICS,
    summary="Figures",
    answers=Answer(status=200, description="Figures for Prometheus.", media_type="text/plain"),
)
async def get_metrics(call: Call) -> Reply:
    """Give the figures of this process in Prometheus' format. Operators only, unless the settings say otherwise."""
    return Reply(200, generate_latest(call.services.registry), content_type=CONTENT_TYPE_LATEST.encode())
