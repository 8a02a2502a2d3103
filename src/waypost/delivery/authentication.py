"""How an endpoint's receiver is shown that a request comes from us: the `auth` of its settings."""

import base64
from collections.abc import Mapping
from typing import NamedTuple

from waypost.delivery.identity import ClientIdentity
from waypost.delivery.oauth import Grant

AUTHORIZATION_TYPES = frozenset({"basic", "bearer", "oauth2_client_credentials"})


class Shown(NamedTuple):
    """What a request shows: headers by their names in lower case, and a client certificate."""

    headers: Mapping[str, str]
    identity: ClientIdentity | None = None


NOTHING_SHOWN = Shown({})


def headers_set_by(auth: Mapping[str, str]) -> frozenset[str]:
    """Name the headers, in lower case, that `auth` sets in each request. Their values are secrets."""
    if auth["type"] in AUTHORIZATION_TYPES:
        return frozenset({"authorization"})
    return frozenset({auth["name"].lower()}) if auth["type"] == "header" else frozenset()


def show(auth: Mapping[str, str], access_token: str | None = None) -> Shown:
    """Give what a request shows. `access_token` is the one that `grant_of(auth)` was good for."""
    match auth["type"]:
        case "basic":
            # RFC 7617: UTF-8, which is what servers take that take more than ASCII.
            pair = f"{auth['username']}:{auth['password']}".encode()
            return Shown({"authorization": "Basic " + base64.b64encode(pair).decode()})
        case "bearer":
            return Shown({"authorization": f"Bearer {auth['token']}"})
        case "header":
            return Shown({auth["name"].lower(): auth["value"]})
        case "oauth2_client_credentials":
            assert access_token is not None
            return Shown({"authorization": f"Bearer {access_token}"})
        case "mtls":
            return Shown({}, ClientIdentity(auth["certificate"], auth["private_key"], auth.get("ca")))
    return NOTHING_SHOWN


def secrets_within(value: str) -> list[str]:
    """Give what is secret within the value of a header: the token of `Bearer TOKEN`, the password of `Basic …`."""
    scheme, _, credentials = value.partition(" ")
    if scheme.lower() != "basic":
        return [credentials]
    try:
        pair = base64.b64decode(credentials, validate=True).decode()
    except ValueError:  # a header of the endpoint's own that only looks like it
        return [credentials]
    return [credentials, pair.partition(":")[2]]


def grant_of(auth: Mapping[str, str]) -> Grant | None:
    """Give what an access token is asked for with, None where none is needed."""
    if auth["type"] != "oauth2_client_credentials":
        return None
    return Grant(auth["token_url"], auth["client_id"], auth["client_secret"], auth.get("scope"))
