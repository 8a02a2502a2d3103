"""Sources: where carriers' messages come from."""

from waypost.api import examples
from waypost.api.bodies import check_object, read_object
from waypost.api.call import Call
from waypost.api.checks import one_of, text
from waypost.api.listing import page
from waypost.api.once import answer_once
from waypost.api.operations import Access, Answer, Body, Table
from waypost.api.queries import CURSOR, LIMIT
from waypost.api.reply import NO_CONTENT, Reply, json_reply
from waypost.api.shapes import CarrierSource, NewSource, Page, SourcePatch
from waypost.log import Source as SourceRecord
from waypost.log import units
from waypost.log.auditing import audited

TABLE = Table("Sources")

KINDS = ("easypost",)
NAME_LENGTH_MAX = 200
SECRET_LENGTH_MAX = 1000

_name = text(NAME_LENGTH_MAX, length_min=1)
_secret = text(SECRET_LENGTH_MAX, length_min=1)


@TABLE.add(
    "POST",
    "/v1/sources",
    access=Access.ENDPOINTS,
    summary="Make a source",
    body=Body(type=NewSource, examples={"EasyPost": examples.SOURCE}),
    answers=Answer(status=201, type=CarrierSource, description="The source, with the URL to give to the carrier."),
)
async def create_source(call: Call) -> Reply:
    """Make a place for a carrier's messages. The carrier signs with `secret`; what is not signed so is refused."""
    given = read_object(await call.body())
    checks = {"kind": one_of(*KINDS), "name": _name, "secret": _secret}
    check_object(given, checks, required=("kind", "name", "secret"))
    work = units.create_source(call.account_id, given["kind"], given["name"], given["secret"], {})
    made = audited(work, call.actor, "source.created", lambda source: source.source_id, given["name"])
    return await answer_once(call, made, lambda source: json_reply(_shown(call, source), 201))


@TABLE.add(
    "GET",
    "/v1/sources",
    access=Access.READ,
    summary="List sources",
    queries=[LIMIT, CURSOR],
    answers=Answer(status=200, type=Page[CarrierSource], description="A page, the oldest first."),
)
async def list_sources(call: Call) -> Reply:
    """Give a page of sources, without their secrets."""
    listed = await call.services.log.list_sources(call.account_id, call.query("limit"), call.query("cursor"))
    return page((_shown(call, source) for source in listed.items), listed.next)


@TABLE.add(
    "GET",
    "/v1/sources/{id}",
    access=Access.READ,
    summary="Read a source",
    answers=Answer(status=200, type=CarrierSource, description="The source."),
)
async def get_source(call: Call) -> Reply:
    """Give one source, without its secret."""
    return json_reply(_shown(call, await call.services.log.get_source(call.account_id, call.path_id("src_"))))


@TABLE.add(
    "PATCH",
    "/v1/sources/{id}",
    access=Access.ENDPOINTS,
    summary="Change a source",
    body=Body(
        type=SourcePatch,
        examples={"Another secret": {"secret": "another secret shared with EasyPost"}},
        media_types=("application/json", "application/merge-patch+json"),
    ),
    answers=Answer(status=200, type=CarrierSource, description="The source."),
)
async def patch_source(call: Call) -> Reply:
    """Change the name or the secret. Messages signed with the old secret are refused from then on."""
    given = read_object(await call.body())
    check_object(given, {"name": _name, "secret": _secret})
    work = units.change_source(
        call.account_id, call.path_id("src_"), name=given.get("name"), secret=given.get("secret")
    )
    changed = audited(work, call.actor, "source.changed", call.path_id("src_"), ", ".join(sorted(given)))
    return await answer_once(call, changed, lambda source: json_reply(_shown(call, source)))


@TABLE.add(
    "DELETE",
    "/v1/sources/{id}",
    access=Access.ENDPOINTS,
    summary="Delete a source",
    answers=Answer(status=204, description="Deleted: its messages are refused from now on."),
)
async def delete_source(call: Call) -> Reply:
    """Delete a source. What its messages said of shipments stands."""
    source_id = call.path_id("src_")
    work = units.delete_source(call.account_id, source_id)
    await call.services.log.do(audited(work, call.actor, "source.deleted", source_id))
    return NO_CONTENT


def _shown(call: Call, source: SourceRecord) -> CarrierSource:
    return CarrierSource(
        id=source.source_id,
        kind=source.kind,
        name=source.name,
        url=f"{call.services.public_url}/v1/intake/{source.source_id}",
        created_at=source.created_at,
        updated_at=source.updated_at,
    )
