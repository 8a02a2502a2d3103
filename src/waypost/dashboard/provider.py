"""Signing in at an identity provider (OpenID Connect): authorization code with PKCE, and the token it answers with.

Requests go through the one connector that webhooks go through; what a library does here is to check tokens. State,
nonce and verifier follow from one secret that only the browser holds, in a cookie: an answer that somebody else asked
for signs nobody in.
"""

import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from waypost.errors import Unauthorized

METADATA_KEPT = timedelta(hours=1)
LEEWAY_S = 60  # of the provider's clock
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
CODE_LENGTH_MAX = 4096

Fetch = Callable[[str, str, dict[str, str], bytes], Awaitable[bytes]]
"""Makes one request: method, URL, headers, body; gives the body of a 2xx answer. Raises ProviderAway."""


class ProviderAway(Exception):
    """The identity provider did not answer as it should; the text says how."""


class _Metadata(msgspec.Struct):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _TokenAnswer(msgspec.Struct):
    id_token: str
    access_token: str = ""


@dataclass(frozen=True, slots=True)
class Identified:
    """Who somebody is, as the provider says: `identity` never changes, the e-mail is None unless it was verified."""

    identity: str
    email: str | None


@dataclass(slots=True)
class IdentityProvider:
    """One provider, with what it knows Waypost by. Made once."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_url: str
    fetch: Fetch
    _metadata: tuple[datetime, _Metadata, KeySet] | None = None

    @property
    def name(self) -> str:
        """What the button calls it."""
        return urlsplit(self.issuer).hostname or self.issuer

    async def address(self, secret: str, now: datetime) -> str:
        """Give where a browser goes that holds `secret`. Raises ProviderAway."""
        metadata, _ = await self._known(now)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(_part(secret, "verifier").encode()).digest())
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_url,
            "scope": "openid email profile",
            "state": _part(secret, "state"),
            "nonce": _part(secret, "nonce"),
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in metadata.authorization_endpoint else "?"
        return f"{metadata.authorization_endpoint}{joint}{urlencode(query)}"

    async def identify(self, secret: str, state: str, code: str, now: datetime) -> Identified:
        """Give who came back with `state` and `code` in the browser that holds `secret`.

        Raises Unauthorized for an answer that this browser did not ask for or that does not hold, and ProviderAway.
        """
        if not hmac.compare_digest(state.encode(), _part(secret, "state").encode()):
            raise Unauthorized("This answer of the identity provider is not for this browser. Begin again.")
        if not 1 <= len(code) <= CODE_LENGTH_MAX:
            raise Unauthorized("The identity provider did not sign you in.")
        metadata, keys = await self._known(now)
        answer = await self._exchange(metadata, secret, code)
        try:
            token = jwt.decode(answer.id_token, keys, algorithms=ALGORITHMS)
            claims = CodeIDToken(
                token.claims,
                token.header,
                {"iss": {"essential": True, "value": self.issuer}, "aud": {"essential": True, "value": self.client_id}},
                {"nonce": _part(secret, "nonce"), "client_id": self.client_id, "access_token": answer.access_token},
            )
            claims.validate(now=int(now.timestamp()), leeway=LEEWAY_S)
        except (JoseError, ValueError) as error:
            self._metadata = None  # its keys may have changed: they are read anew the next time
            raise Unauthorized("The identity provider's answer does not hold. Begin again.") from error
        email = claims.get("email") if claims.get("email_verified") is True else None
        return Identified(f"{self.issuer} {claims['sub']}", email if isinstance(email, str) else None)

    async def _exchange(self, metadata: _Metadata, secret: str, code: str) -> _TokenAnswer:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_url,
            "code_verifier": _part(secret, "verifier"),
        }
        pair = f"{quote(self.client_id, safe='')}:{quote(self.client_secret, safe='')}"
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
            "authorization": "Basic " + base64.b64encode(pair.encode()).decode(),
        }
        body = await self.fetch("POST", metadata.token_endpoint, headers, urlencode(form).encode())
        answer: _TokenAnswer = _read(body, _TokenAnswer, "token")
        return answer

    async def _known(self, now: datetime) -> tuple[_Metadata, KeySet]:
        """The provider's addresses and keys, read once an hour."""
        if self._metadata is None or now - self._metadata[0] >= METADATA_KEPT:
            place = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
            metadata = _read(await self.fetch("GET", place, _JSON, b""), _Metadata, "description of itself")
            if metadata.issuer != self.issuer:
                raise ProviderAway(f"it calls itself {metadata.issuer!r}, and oidc_issuer is {self.issuer!r}")
            scheme = urlsplit(self.issuer).scheme
            for url in (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri):
                if urlsplit(url).scheme not in ("https", scheme):
                    raise ProviderAway("one of its addresses is not encrypted")
            keys = _read(await self.fetch("GET", metadata.jwks_uri, _JSON, b""), dict[str, Any], "keys")
            try:
                self._metadata = now, metadata, KeySet.import_key_set(keys)
            except (JoseError, ValueError, KeyError, TypeError) as error:
                raise ProviderAway("its keys cannot be read") from error
        return self._metadata[1], self._metadata[2]


_JSON = {"accept": "application/json"}


def _read(body: bytes, kind: Any, what: str) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderAway(f"its {what} cannot be read") from error


def _part(secret: str, name: str) -> str:
    """What follows from the browser's secret for one use, and tells nothing of it."""
    digest = hmac.new(secret.encode(), name.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
