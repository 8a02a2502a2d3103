"""Numbers that outgrow 32 bits, and one endpoint among very many."""

import msgspec
from sqlalchemy import update

from log.builders import DEFAULT, a_pending, a_write, an_attempt, an_endpoint, endpoint_name, log_rows, owned, put
from waypost.events.patterns import Wants
from waypost.log import EndpointSettings, Log, Request, Tx, Unit, leases, units
from waypost.log.tables import accounts, shipments

LARGEST_OF_JAVASCRIPT = 2**53 - 1
PAST_32_BITS = 2**31 + 1
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


async def test_positions_and_sequences_are_exact_as_far_as_javascript_counts(log: Log) -> None:
    await put(log)

    def move_on(tx: Tx) -> None:
        tx.connection.execute(update(accounts).values(position=LARGEST_OF_JAVASCRIPT - 1))
        tx.connection.execute(update(shipments).values(sequence=LARGEST_OF_JAVASCRIPT - 1))

    await log.do(Unit(DEFAULT, move_on, locks=True))
    (event,) = (await put(log)).events
    assert (event.position, event.sequence) == (LARGEST_OF_JAVASCRIPT, LARGEST_OF_JAVASCRIPT)
    (row,) = await log.events_after(DEFAULT, LARGEST_OF_JAVASCRIPT - 1, 10)
    told = msgspec.json.decode(row.body)
    assert (told["position"], told["sequence"]) == (LARGEST_OF_JAVASCRIPT, LARGEST_OF_JAVASCRIPT)


async def test_attempts_are_counted_past_32_bits(log: Log) -> None:
    endpoint = await owned(log)
    await put(log)
    row = (await log_rows(log))[0]
    attempt = an_attempt(row, "retrying", number=PAST_32_BITS)
    write = a_write(endpoint, attempts=(attempt,), pending_put=(a_pending(row, attempts=PAST_32_BITS, failures=1),))
    assert await log.persist([write]) == set()
    loaded = await log.load_endpoint(*endpoint_name(endpoint))
    assert [pending.attempts for pending in loaded.pending] == [PAST_32_BITS]


async def test_an_endpoint_without_an_owner_is_found_though_very_many_have_one(log: Log) -> None:
    wants = Wants(("*",), None)
    make = [
        Request(units.create_endpoint(DEFAULT, EndpointSettings(url="https://erp.example/"), wants, secret=SECRET))
        for _ in range(1_500)
    ]
    await log.do_all(make)
    assert len(await log.do(leases.take_leases("w1", 60, 10_000, alone=False))) == 1_500
    left = await an_endpoint(log)
    (lease,) = await log.do(leases.take_leases("w2", 60, 1, alone=False))
    assert (lease.account_id, lease.endpoint_id) == endpoint_name(left)
