"""Payloads, formats, authentication and keys of endpoints, as the API takes and shows them."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import text

from api.asgi_client import Client, Reply
from api.conftest import TokenMaker, on_both_databases
from delivery.receivers import Authority
from waypost.delivery.signing import public_key
from waypost.ids import AccountId, EndpointId
from waypost.log import Database, Log

URL = "https://192.0.2.1/hooks/waypost"
KEYS = "/.well-known/waypost/keys.json"
TOKEN_URL = "https://192.0.2.2/token"
OAUTH = {"type": "oauth2_client_credentials", "token_url": TOKEN_URL, "client_id": "waypost", "client_secret": "s3cret"}


async def make(api: Client, **fields: Any) -> dict[str, Any]:
    reply = await api.call("POST", "/v1/endpoints", {"url": URL, **fields})
    assert reply.status == 201, reply.body
    made: dict[str, Any] = reply.json()
    return made


async def patch(api: Client, made: dict[str, Any], **fields: Any) -> Reply:
    return await api.call("PATCH", f"/v1/endpoints/{made['id']}", fields)


async def keys(api: Client, query: str = "") -> list[dict[str, Any]]:
    reply = await Client(api.app, None).call("GET", KEYS + query)
    assert reply.status == 200, reply.body
    found: list[dict[str, Any]] = reply.json()["keys"]
    return found


def mutual_tls(**fields: str) -> dict[str, str]:
    certificate, key = Authority().client("waypost")
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {"type": "mtls", "certificate": certificate, "private_key": pem} | fields


# -- payload and format


@pytest.mark.parametrize("payload", ["full", "changes", "reference"])
@pytest.mark.parametrize("personal_data", [True, False])
async def test_a_payload_is_shown_as_it_was_given(api: Client, payload: str, personal_data: bool) -> None:
    made = await make(api, payload=payload, personal_data=personal_data)
    assert (made["payload"], made["personal_data"]) == (payload, personal_data)


async def test_the_size_of_batches_is_shown_with_their_format_alone(api: Client) -> None:
    batched = await make(api, format="batch")
    assert (batched["batch_size"], batched["batch_wait_ms"]) == (100, 1000)
    plain = await make(api, format="cloudevents")
    assert not plain.keys() & {"batch_size", "batch_wait_ms"}


async def test_batches_are_as_large_as_was_asked(api: Client) -> None:
    made = await make(api, format="batch", batch_size=500, batch_wait_ms=0)
    assert (made["batch_size"], made["batch_wait_ms"]) == (500, 0)
    changed = (await patch(api, made, batch_size=None, batch_wait_ms=50)).json()
    assert (changed["batch_size"], changed["batch_wait_ms"]) == (100, 50)


@pytest.mark.parametrize("field", ["batch_size", "batch_wait_ms"])
async def test_batches_are_refused_for_another_format(api: Client, field: str) -> None:
    reply = await api.call("POST", "/v1/endpoints", {"url": URL, field: 10})
    assert reply.status == 422
    assert reply.places() == {f"/{field}": 'is only for the format "batch"'}
    made = await make(api)
    assert (await patch(api, made, **{field: 10})).status == 422


async def test_a_change_of_format_forgets_the_size_of_batches(api: Client) -> None:
    made = await make(api, format="batch", batch_size=7)
    changed = (await patch(api, made, format="waypost")).json()
    assert "batch_size" not in changed
    assert (await patch(api, made, format="batch")).json()["batch_size"] == 100


# -- authentication


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "none"},
        {"type": "basic", "username": "ERP", "password": "pässword: 1"},
        {"type": "bearer", "token": "t0ken"},
        {"type": "header", "name": "X-Api-Key", "value": "a key"},
        {"type": "header", "name": "Authorization", "value": "ApiKey 7"},
        OAUTH,
        OAUTH | {"scope": "events write"},
    ],
    ids=lambda auth: "-".join(auth)[:40],
)
async def test_authentication_is_kept_and_shown_to_who_may_change_it(
    api: Client, caller: TokenMaker, auth: dict[str, str]
) -> None:
    made = await make(api, auth=auth)
    assert made["auth"] == auth
    reader, writer = await caller("read"), await caller("read", "endpoints:write")
    path = f"/v1/endpoints/{made['id']}"
    assert (await reader.call("GET", path)).json()["auth"] == {"type": auth["type"]}
    assert (await writer.call("GET", path)).json()["auth"] == auth


async def test_a_client_certificate_is_kept_with_its_key(api: Client) -> None:
    auth = mutual_tls(ca=Authority().pem)
    assert (await make(api, auth=auth))["auth"] == auth


async def test_an_optional_field_that_is_null_is_left_out(api: Client) -> None:
    assert (await make(api, auth=OAUTH | {"scope": None}))["auth"] == OAUTH


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"auth": {"type": "basic", "username": "a:b", "password": "p"}}, "/auth/username", "colon"),
    ({"auth": {"type": "basic", "username": "a", "password": "p\n"}}, "/auth/password", "control character"),
    ({"auth": {"type": "bearer", "token": "two words"}}, "/auth/token", "without blanks"),
    ({"auth": {"type": "bearer", "token": "é"}}, "/auth/token", "ASCII"),
    ({"auth": {"type": "header", "name": "webhook-id", "value": "1"}}, "/auth/name", "set by Waypost"),
    ({"auth": {"type": "header", "name": "Host", "value": "inside"}}, "/auth/name", "set by Waypost"),
    ({"auth": {"type": "header", "name": "a b", "value": "1"}}, "/auth/name", "letters"),
    ({"auth": {"type": "header", "name": "proxy-value", "value": "1"}}, "/auth/name", "connection"),
    ({"auth": {"type": "header", "name": "Host", "value": "é"}}, "/auth/value", "printable ASCII"),
    ({"auth": {"type": "header", "name": "x-key", "value": "a\r\nb: c"}}, "/auth/value", "printable ASCII"),
    ({"auth": OAUTH | {"token_url": "ftp://login.example/"}}, "/auth/token_url", "http"),
    ({"auth": OAUTH | {"token_url": "https://me@login.example/"}}, "/auth/token_url", "use auth"),
    ({"auth": OAUTH | {"token_url": 7}}, "/auth/token_url", "text"),
    ({"auth": OAUTH | {"token_url": "https://127.0.0.1/token"}}, "/auth/token_url", "loopback"),
    ({"auth": OAUTH | {"token_url": "http://[::ffff:169.254.169.254]/"}}, "/auth/token_url", "metadata"),
    ({"auth": OAUTH | {"scope": 'a"b'}}, "/auth/scope", "words"),
    ({"auth": OAUTH | {"client_secret": ""}}, "/auth/client_secret", "1 to"),
    ({"auth": {"type": "mtls", "certificate": "x", "private_key": "y"}}, "/auth/certificate", "PEM"),
    ({"auth": {"type": "mtls", "private_key": "y"}}, "/auth/certificate", "missing"),
    ({"auth": {"type": "bearer", "token": "t"}, "headers": {"Authorization": "x"}}, "/headers/Authorization", "auth"),
    ({"auth": OAUTH, "headers": {"AUTHORIZATION": "x"}}, "/headers/AUTHORIZATION", "by auth"),
    ({"auth": {"type": "header", "name": "x-key", "value": "1"}, "headers": {"X-Key": "2"}}, "/headers/X-Key", "auth"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "path", "words"), WRONG, ids=lambda value: str(value)[:60])
async def test_a_wrong_authentication_is_named_at_its_place(
    api: Client, fields: dict[str, Any], path: str, words: str
) -> None:
    reply = await api.call("POST", "/v1/endpoints", {"url": URL, **fields})
    assert reply.status == 422
    assert words in reply.places()[path]
    made = await make(api)
    assert words in (await patch(api, made, **fields)).places()[path]


async def test_own_headers_may_hold_what_auth_does_not_set(api: Client) -> None:
    headers = {"Authorization": "ApiKey 7"}
    for auth in ({"type": "none"}, {"type": "header", "name": "x-key", "value": "1"}, mutual_tls()):
        assert (await make(api, auth=auth, headers=headers))["headers"] == headers


async def test_a_client_certificate_needs_https(api: Client) -> None:
    reply = await api.call("POST", "/v1/endpoints", {"url": URL.replace("https", "http"), "auth": mutual_tls()})
    assert "https" in reply.places()["/url"]
    made = await make(api, auth=mutual_tls())
    assert (await patch(api, made, url=URL.replace("https", "http"))).status == 422


async def test_a_replay_to_another_url_with_a_client_certificate_needs_https_too(api: Client) -> None:
    made = await make(api, auth=mutual_tls())
    asked = {"which": "all", "to_url": "http://192.0.2.7/"}
    reply = await api.call("POST", f"/v1/endpoints/{made['id']}/replay", asked)
    assert (reply.status, reply.places()) == (422, {"/to_url": "must begin with https:// for the authentication mtls"})
    asked["to_url"] = "https://192.0.2.7/"
    assert (await api.call("POST", f"/v1/endpoints/{made['id']}/replay", asked)).status == 202


async def test_an_expired_certificate_is_refused_and_nothing_of_the_key_said_back(api: Client) -> None:
    authority = Authority()
    certificate, _ = authority.client("waypost", expired=True)
    reply = await api.call("POST", "/v1/endpoints", {"url": URL, "auth": mutual_tls(certificate=certificate)})
    assert reply.status == 422
    assert b"PRIVATE" not in reply.body
    certificate, key = authority.client("waypost", expired=True)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    auth = {"type": "mtls", "certificate": certificate, "private_key": pem}
    refused = await api.call("POST", "/v1/endpoints", {"url": URL, "auth": auth})
    assert "expired" in refused.places()["/auth/certificate"]
    made = await make(api)
    assert "expired" in (await patch(api, made, auth=auth)).places()["/auth/certificate"]


async def test_a_change_within_one_kind_leaves_the_rest_of_it(api: Client) -> None:
    made = await make(api, auth=OAUTH | {"scope": "events"})
    changed = (await patch(api, made, auth={"client_secret": "new", "scope": None})).json()
    assert changed["auth"] == OAUTH | {"client_secret": "new"}


async def test_another_kind_takes_the_place_of_the_one_before(api: Client) -> None:
    made = await make(api, auth=OAUTH)
    bearer = {"type": "bearer", "token": "t"}
    assert (await patch(api, made, auth=bearer)).json()["auth"] == bearer
    assert (await patch(api, made, auth=None)).json()["auth"] == {"type": "none"}


async def test_another_kind_must_be_given_whole(api: Client) -> None:
    made = await make(api, auth=OAUTH)
    assert (await patch(api, made, auth={"type": "basic", "username": "u"})).places() == {
        "/auth/password": "is missing"
    }


async def test_passwords_are_nowhere_in_the_database_not_even_in_kept_answers(api: Client, database: Database) -> None:
    auth = {"type": "bearer", "token": "canary-token"}
    made = await make(api)
    reply = await api.call(
        "PATCH", f"/v1/endpoints/{made['id']}", {"auth": auth, "signature": ["v1a"]}, headers={"Idempotency-Key": "k"}
    )
    assert reply.json()["auth"] == auth
    with database.readers.connect() as connection:
        for table in ("endpoints", "endpoint_secrets", "idempotency"):
            assert "canary" not in str(connection.execute(text(f"SELECT * FROM {table}")).all())


# -- keys


@on_both_databases
async def test_an_endpoint_that_signs_with_a_key_shows_the_public_one_with_its_secret(api: Client) -> None:
    made = await make(api, signature=["v1", "v1a"])
    assert made["secret"].startswith("whsec_")
    assert made["public_key"].startswith("whpk_")
    shown = (await api.call("GET", f"/v1/endpoints/{made['id']}/secret")).json()
    assert shown == {"secret": made["secret"], "previous_expires_at": None, "public_key": made["public_key"]}
    assert "public_key" not in (await api.call("GET", f"/v1/endpoints/{made['id']}")).json()


async def test_an_endpoint_that_signs_with_a_secret_alone_shows_no_key(api: Client) -> None:
    made = await make(api)
    shown = (await api.call("GET", f"/v1/endpoints/{made['id']}/secret")).json()
    assert "public_key" not in made
    assert "public_key" not in shown
    assert await keys(api) == []


async def test_the_key_that_is_shown_is_that_of_the_private_one_that_is_stored(api: Client, log: Log) -> None:
    made = await make(api, signature=["v1a"])
    record = await log.get_endpoint(AccountId("default"), EndpointId(made["id"]))
    (private,) = [secret.secret for secret in record.secrets if secret.scheme == "v1a"]
    assert public_key(private) == made["public_key"]


async def test_a_key_that_is_asked_for_later_is_published_then_and_stays(api: Client) -> None:
    made = await make(api)
    assert (await patch(api, made, signature=["v1a"])).status == 200
    (key,) = await keys(api)
    await patch(api, made, signature=["v1"])
    await patch(api, made, signature=["v1", "v1a"])
    assert await keys(api) == [key]


async def test_a_rotation_shows_the_new_key_and_publishes_both(api: Client) -> None:
    made = await make(api, signature=["v1a"])
    rotated = (await api.call("POST", f"/v1/endpoints/{made['id']}/secret/rotate", {"overlap_seconds": 60})).json()
    assert rotated["public_key"] not in (None, made["public_key"])
    published = {key["public_key"]: key["expires_at"] for key in await keys(api)}
    assert published == {made["public_key"]: rotated["previous_expires_at"], rotated["public_key"]: None}


async def test_a_published_key_is_a_json_web_key_with_the_same_bytes(api: Client) -> None:
    made = await make(api, signature=["v1a"])
    (key,) = await keys(api)
    raw = base64.urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4))
    assert raw == base64.b64decode(made["public_key"].removeprefix("whpk_"))
    assert Ed25519PublicKey.from_public_bytes(raw).public_bytes_raw() == raw
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("OKP", "Ed25519", "EdDSA", "sig")
    assert (key["endpoint_id"], key["public_key"], key["expires_at"]) == (made["id"], made["public_key"], None)
    assert key["kid"].startswith("sec_")


async def test_keys_need_no_token_and_may_be_kept_for_a_while(api: Client) -> None:
    await make(api, signature=["v1a"])
    reply = await Client(api.app, None).call("GET", KEYS)
    assert reply.status == 200
    assert reply.headers["cache-control"] == "public, max-age=300"
    assert (await api.call("GET", "/v1/endpoints")).headers["cache-control"] == "no-store"


async def test_an_unknown_account_looks_like_an_empty_one(api: Client, caller: TokenMaker) -> None:
    await make(api, signature=["v1a"])
    await caller("read", account="fossvik")
    empty, unknown = [await api.call("GET", f"{KEYS}?account={name}") for name in ("fossvik", "nobody")]
    assert (empty.status, empty.body) == (unknown.status, unknown.body) == (200, b'{"keys":[],"next":null}')


async def test_the_keys_of_another_account_are_not_given(api: Client, caller: TokenMaker) -> None:
    other = await caller("endpoints:write", account="fossvik")
    theirs, mine = await make(other, signature=["v1a"]), await make(api, signature=["v1a"])
    assert [key["endpoint_id"] for key in await keys(api, "?account=fossvik")] == [theirs["id"]]
    assert [key["endpoint_id"] for key in await keys(api)] == [mine["id"]]
    assert await keys(api, f"?endpoint={theirs['id']}") == []


async def test_keys_come_in_pages(api: Client) -> None:
    made = [await make(api, signature=["v1a"]) for _ in range(3)]
    first = (await api.call("GET", f"{KEYS}?limit=2")).json()
    rest = (await api.call("GET", f"{KEYS}?limit=2&cursor={first['next']}")).json()
    found = [key["endpoint_id"] for key in (*first["keys"], *rest["keys"])]
    assert (found, rest["next"]) == ([one["id"] for one in made], None)


async def test_a_key_is_gone_with_its_endpoint(api: Client) -> None:
    made = await make(api, signature=["v1a"])
    await api.call("DELETE", f"/v1/endpoints/{made['id']}")
    assert await keys(api) == []
