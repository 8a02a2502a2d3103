"""The network: it stands where the sender does, and what arrives, and what is heard of it, are two things.

A request under way is the world's: the process that sent it may die, and the receiver takes it all the same.
"""

import asyncio
import base64
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from waypost.clock import to_micros
from waypost.delivery import signing
from waypost.delivery.result import AttemptResult, Outcome, SendRequest, Timings
from waypost.log.group import Committed
from waypost.simulator.history import Arrived, Name, ReceiverAnswered, SendBegan, SendEnded
from waypost.simulator.receivers import Receiver, Reply
from waypost.simulator.watching import body_hash

if TYPE_CHECKING:
    from waypost.simulator.process import Process
    from waypost.simulator.world import World

ADDRESS = "203.0.113.7"
POOLED_S_MAX = 120.0
ONE_WAY_S = (0.001, 0.04)
NOTICE_S = (0.0005, 0.03)


class _Envelope(msgspec.Struct):
    """What of a body the history names: the same field in every format."""

    id: str


_read_one = msgspec.json.Decoder(_Envelope).decode
_read_many = msgspec.json.Decoder(list[_Envelope]).decode


def event_ids_in(body: bytes) -> tuple[str, ...]:
    """Give the ids of the events in a body, in its order."""
    if body.startswith(b"["):
        return tuple(one.id for one in _read_many(body))
    return (_read_one(body).id,)


@dataclass(slots=True)
class _Exchange:
    """A request under way, and what the one who sent it hears."""

    number: int
    request: SendRequest
    heard: "asyncio.Future[_Heard]"
    event_ids: tuple[str, ...]
    receiver: Receiver
    reused: bool


@dataclass(frozen=True, slots=True)
class _Heard:
    """What is heard of a request."""

    outcome: Outcome
    text: str | None = None
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Network:
    """Between processes and receivers, and among processes."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._requests = 0
        self._ways: dict[Name, random.Random] = {}
        self._secrets: dict[Name, list[str]] = {}
        self._secrets_to_be: list[str] = []
        self._dice = world.dice("notices")

    def sender(self, process: "Process") -> "WorldSender":
        """Give what a process sends with."""
        return WorldSender(self, process)

    def dice_of(self, name: Name) -> random.Random:
        """Give the dice of the way to an endpoint."""
        if name not in self._ways:
            self._ways[name] = self.world.dice(f"way/{name.account_id}/{len(self._ways)}")
        return self._ways[name]

    def next_request(self) -> int:
        """Number a request."""
        self._requests += 1
        return self._requests

    # -- signatures

    def knows(self, name: Name, secret: str) -> None:
        """Remember a secret of an endpoint; signatures are held against all there ever were."""
        known = self._secrets.setdefault(name, [])
        if secret not in known:
            known.append(secret)

    def will_know(self, secret: str) -> None:
        """Remember a secret of an endpoint that is being made."""
        self._secrets_to_be.append(secret)

    def signers(self, name: Name, request: SendRequest) -> tuple[str, ...]:
        """Give the secrets that the signatures of a request verify under: the endpoint's own first."""
        headers = request.headers
        message_id, timestamp = headers.get("webhook-id", ""), int(headers.get("webhook-timestamp", "0"))
        missing = set(headers.get("webhook-signature", "").split())
        found = []
        others = [
            *self._secrets_to_be,
            *(secret for other, secrets in self._secrets.items() if other != name for secret in secrets),
        ]
        for secret in [*self._secrets.get(name, ()), *others]:
            if not missing:
                break
            made = signing.sign(secret, message_id, timestamp, request.body)
            if made in missing:
                missing.discard(made)
                found.append(secret)
        return tuple(found)

    # -- word between processes

    def announce(self, teller: "Process", committed: Committed) -> None:
        """Carry word of a commit to the other processes."""
        dice = self._dice
        for process in self.world.living():
            if process is teller:
                continue
            word = committed
            if committed.accounts and not committed.endpoints and self.world.happens("notice_lost", dice):
                self.world.harm("notice_lost", process=process.number)
                continue
            delay_s = dice.uniform(*NOTICE_S)
            if self.world.happens("notice_late", dice):
                delay_s += dice.choice([0.5, 5.0])
                self.world.harm("notice_late", process=process.number, until_s=self.world.loop.time() + delay_s)
            self.world.loop.in_world(delay_s, process.hear, word)
            if self.world.happens("notice_twice", dice):
                self.world.harm("notice_twice", process=process.number)
                self.world.loop.in_world(delay_s + dice.choice([0.001, 2.0]), process.hear, word)


class WorldSender:
    """What a process sends with: it has the sender's methods, and the world's network behind them."""

    def __init__(self, network: Network, process: "Process") -> None:
        self._network = network
        self._world = network.world
        self._process = process
        self._pools: dict[str, float] = {}  # when the last answer came over a connection that is kept
        self._open: dict[int, asyncio.Future[_Heard]] = {}
        self._closed = False

    async def send(self, request: SendRequest) -> AttemptResult:
        """POST once. Never raises for what the network or the receiver does."""
        world, process = self._world, self._process
        name = Name(*request.pool_key.split("/", 1))
        dice = self._network.dice_of(name)
        started_at, began_s = process.clock.now(), world.loop.time()
        if self._closed:
            return AttemptResult(
                outcome="cancelled", started_at=started_at, timings_ms=Timings(), error_text="the service is stopping"
            )
        if world.happens("crash_before_send", dice):
            process.machine.kill("crash_before_send")
            await world.loop.create_future()
        exchange = self._begin(name, request)
        number = exchange.number
        self._open[number] = exchange.heard
        timer = world.loop.call_later(request.timeout_s, _hear, exchange.heard, _TIMED_OUT)
        self._travel(exchange, dice)
        if world.happens("crash_after_send", dice):
            world.loop.in_world(dice.uniform(0, 0.3), process.machine.kill_if, process, "crash_after_send", number)
        try:
            heard = await exchange.heard
        finally:
            timer.cancel()
            self._open.pop(number, None)
        if heard.outcome in ("success", "status"):
            self._pools[request.pool_key] = world.loop.time()
        else:
            self._pools.pop(request.pool_key, None)
        stale = heard.outcome == "reset" and exchange.reused
        retry_after = heard.headers.get("retry-after")
        world.record(SendEnded(world.at, number, heard.outcome, heard.status, retry_after, stale))
        return AttemptResult(
            outcome=heard.outcome,
            started_at=started_at,
            timings_ms=Timings(total=round((world.loop.time() - began_s) * 1000, 3)),
            status=heard.status,
            address=ADDRESS,
            reused_connection=exchange.reused,
            response_headers=heard.headers,
            error_text=heard.text,
            retry_after=retry_after,
        )

    def forget(self, pool_key: str) -> None:
        """Close the connections of a pool; requests in flight end normally."""
        self._pools.pop(pool_key, None)

    async def close(self) -> None:
        """End the attempts in flight as `cancelled`."""
        self._closed = True
        for heard in tuple(self._open.values()):
            _hear(heard, _Heard("cancelled", "the service is stopping"))

    # -- on the way

    def _begin(self, name: Name, request: SendRequest) -> _Exchange:
        """Write down that a request goes out."""
        world, process = self._world, self._process
        number = self._network.next_request()
        event_ids = event_ids_in(request.body)
        events = [world.database.watcher.by_event_id.get((name.account_id, event_id)) for event_id in event_ids]
        known = [event for event in events if event is not None]
        headers = request.headers
        last_s = self._pools.get(request.pool_key)
        reused = last_s is not None and world.loop.time() - last_s < POOLED_S_MAX
        world.record(
            SendBegan(
                at=world.at,
                request=number,
                process=process.number,
                name=name,
                url=request.url,
                webhook_id=headers.get("webhook-id", ""),
                event_type=headers.get("waypost-event-type", ""),
                event_ids=event_ids,
                positions=tuple(event.position for event in known),
                keys=tuple(event.key for event in known),
                sequences=tuple(event.sequence for event in known),
                attempt=int(headers.get("waypost-attempt", "0")),
                body_hash=body_hash(request.body),
                replay_id=headers.get("waypost-replay"),
                signed_by=self._network.signers(name, request),
                timestamp=int(headers.get("webhook-timestamp", "0")),
                process_clock=to_micros(process.clock.now()),
            )
        )
        receiver = world.receivers.at(request.url, name)
        return _Exchange(number, request, world.loop.create_future(), event_ids, receiver, reused)

    def _travel(self, exchange: _Exchange, dice: random.Random) -> None:
        """Let a request travel: it ends on the way, or arrives."""
        world = self._world
        out_s = dice.uniform(*ONE_WAY_S)
        name = exchange.request.pool_key
        named = [Name(*name.split("/", 1))]
        if exchange.reused and world.happens("stale_connection", dice):
            world.harm("stale_connection", request=exchange.number, touches=named)
            self._heard_after(exchange, out_s, _Heard("reset", "the connection ended"))
            return
        if not exchange.reused and exchange.receiver.is_away():
            self._heard_after(exchange, out_s, _Heard("refused", "no connection: connection refused"))
            return
        if exchange.receiver.is_away():
            self._heard_after(exchange, out_s, _Heard("reset", "the connection ended"))
            return
        for harm, outcome, text in () if exchange.reused else _CONNECTING:
            if world.happens(harm, dice):
                world.harm(harm, request=exchange.number, touches=named)
                if outcome is not None:
                    self._heard_after(exchange, out_s, _Heard(outcome, text))
                    return
                if harm == "connect_hangs":
                    return
                out_s += dice.choice([1.0, 4.0])
        for harm in ("reset_before", "reset_in_body"):
            if world.happens(harm, dice):
                world.harm(harm, request=exchange.number, touches=named)
                self._heard_after(exchange, out_s, _Heard("reset", "the connection ended"))
                return
        world.loop.in_world(out_s, self._arrive, exchange, dice)

    def _arrive(self, exchange: _Exchange, dice: random.Random) -> None:
        """Let the receiver have the request, and send its answer back."""
        world, number = self._world, exchange.number
        world.record(Arrived(world.at, number))
        reply = exchange.receiver.take(exchange.request.body, exchange.event_ids)
        if reply.how == "hangs":
            return
        world.loop.in_world(reply.after_s, self._answer, exchange, reply, dice)

    def _answer(self, exchange: _Exchange, reply: Reply, dice: random.Random) -> None:
        world, number = self._world, exchange.number
        back_s = dice.uniform(*ONE_WAY_S)
        named = [Name(*exchange.request.pool_key.split("/", 1))]
        headers = dict(reply.headers)
        world.record(ReceiverAnswered(world.at, number, reply.status, headers.get("retry-after")))
        heard = _Heard("success" if 200 <= reply.status < 300 else "status", None, reply.status, headers)
        for harm, instead in _ANSWERING.items():
            if world.happens(harm, dice):
                world.harm(harm, request=number, touches=named)
                if instead is None:
                    if harm == "answer_late":
                        self._heard_after(exchange, exchange.request.timeout_s + 5.0, heard)
                    return
                self._heard_after(exchange, back_s, instead)
                return
        if reply.how == "drips":
            return  # a byte a second never makes a whole answer in time
        self._heard_after(exchange, back_s, heard)
        if reply.how == "twice":
            self._heard_after(exchange, back_s * 2, heard)

    def _heard_after(self, exchange: _Exchange, delay_s: float, heard: _Heard) -> None:
        self._world.loop.in_world(delay_s, self._process.soon, _hear, exchange.heard, heard)


_TIMED_OUT = _Heard("timeout", "no complete answer in time")
_CONNECTING: tuple[tuple[str, Outcome | None, str], ...] = (
    ("dns_slow", None, ""),
    ("dns_fails", "dns", "no address for the name: name or service not known"),
    ("refused", "refused", "no connection: connection refused"),
    ("connect_hangs", None, ""),
)
_ANSWERING: dict[str, _Heard | None] = {
    "reset_after": _Heard("reset", "the connection ended"),
    "answer_lost": None,
    "answer_late": None,
    "answer_garbled": _Heard("bad_answer", "the answer is not HTTP"),
}


def _hear(heard: "asyncio.Future[_Heard]", what: _Heard) -> None:
    if not heard.done():
        heard.set_result(what)


def a_secret(dice: random.Random) -> str:
    """Make a signing secret."""
    return signing.HMAC_PREFIX + base64.b64encode(dice.randbytes(signing.SECRET_BYTES)).decode()
