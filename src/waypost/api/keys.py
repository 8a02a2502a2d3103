"""The public keys that endpoints sign with, for receivers that check signatures of the kind `v1a`."""

import base64

from waypost.api.call import Call
from waypost.api.operations import Access, Answer, Table
from waypost.api.queries import CURSOR, LIMIT, Text
from waypost.api.reply import Reply, encode_json
from waypost.api.shapes import JsonWebKey, JsonWebKeys
from waypost.delivery.signing import PUBLIC_KEY_PREFIX
from waypost.ids import AccountId, EndpointId
from waypost.log import PublicKey

TABLE = Table("Endpoints")

# New keys sign beside the old ones for a day unless somebody wants it otherwise: five minutes are soon enough.
CACHE_CONTROL = b"public, max-age=300"

ACCOUNT = Text(name="account", description="Whose endpoints.", default="default")
ENDPOINT = Text(name="endpoint", description="The keys of this endpoint alone.")


@TABLE.add(
    "GET",
    "/.well-known/waypost/keys.json",
    access=Access.PUBLIC,
    summary="Public keys",
    queries=[ACCOUNT, ENDPOINT, LIMIT, CURSOR],
    answers=Answer(
        status=200,
        type=JsonWebKeys,
        description="A page of keys, as a JSON Web Key Set (RFC 7517).",
        headers={"Cache-Control": "For how long the keys may be kept."},
    ),
)
async def get_public_keys(call: Call) -> Reply:
    """Give the Ed25519 keys that an account's endpoints sign with now, those in their overlap included.

    An account or endpoint that does not exist has no keys. The keys are public: there is no token to give.
    """
    account_id, endpoint_id = AccountId(call.query("account")), call.query("endpoint")
    listed = await call.services.log.public_keys(
        account_id,
        None if endpoint_id is None else EndpointId(endpoint_id),
        call.services.clock.now(),
        call.query("limit"),
        call.query("cursor"),
    )
    keys = JsonWebKeys(keys=[_json_web_key(key) for key in listed.items], next=listed.next)
    return Reply(200, encode_json(keys), cache_control=CACHE_CONTROL)


def _json_web_key(key: PublicKey) -> JsonWebKey:
    raw = base64.b64decode(key.public_key.removeprefix(PUBLIC_KEY_PREFIX))
    return JsonWebKey(
        kid=key.key_id,
        x=base64.urlsafe_b64encode(raw).decode().rstrip("="),
        endpoint_id=key.endpoint_id,
        public_key=key.public_key,
        expires_at=key.expires_at,
    )
