"""What may be said of an endpoint's `auth`: for each kind its fields, and what must be right about them.

What needs the time or a lookup (is the certificate valid now, where does the token endpoint lead) is asked apart.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from waypost.api.checks import Check, check_fields, nullable, one_of, text
from waypost.delivery.authentication import headers_set_by
from waypost.delivery.egress import parse_url
from waypost.delivery.headers import check_headers
from waypost.delivery.identity import ClientIdentity, check_identity, check_is_valid_at
from waypost.errors import CallerError, FieldError, InvalidDocument

PATH = "/auth"
CREDENTIAL_LENGTH_MAX = 4096
PEM_LENGTH_MAX = 64 * 1024  # a chain of certificates fits
SCOPE_LENGTH_MAX = 1000

_VISIBLE = re.compile(r"[\x21-\x7e]+")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_SCOPE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, section 3.3


def _formed(form: re.Pattern[str], problem: str, length_max: int = CREDENTIAL_LENGTH_MAX) -> Check:
    of_length = text(length_max, length_min=1)

    def check(value: Any, path: str) -> list[FieldError]:
        errors = of_length(value, path)
        return errors or ([] if form.fullmatch(value) else [FieldError(path, problem)])

    return check


def _printable(value: Any, path: str) -> list[FieldError]:
    errors = text(CREDENTIAL_LENGTH_MAX, length_min=1)(value, path)
    return errors or ([FieldError(path, "holds a control character")] if _UNPRINTABLE.search(value) else [])


def _username(value: Any, path: str) -> list[FieldError]:
    errors = _printable(value, path)
    return errors or ([FieldError(path, "holds a colon, which ends a user name (RFC 7617)")] if ":" in value else [])


def _token_url(value: Any, path: str) -> list[FieldError]:
    if not isinstance(value, str):
        return [FieldError(path, "must be a text such as https://login.example/oauth/token")]
    try:
        parse_url(value, path=path)
    except CallerError as error:
        return list(error.errors)
    return []


_PEM = text(PEM_LENGTH_MAX, length_min=1)

_KINDS: Mapping[str, Mapping[str, Check]] = {
    "none": {},
    "basic": {"username": _username, "password": _printable},
    "bearer": {"token": _formed(_VISIBLE, "is printable ASCII without blanks")},
    "header": {"name": text(100, length_min=1), "value": text(CREDENTIAL_LENGTH_MAX, length_min=1)},
    "oauth2_client_credentials": {
        "token_url": _token_url,
        "client_id": _printable,
        "client_secret": _printable,
        "scope": nullable(_formed(_SCOPE, "is words with a blank between", SCOPE_LENGTH_MAX)),
    },
    "mtls": {"certificate": _PEM, "private_key": _PEM, "ca": nullable(_PEM)},
}
_OPTIONAL = frozenset({"scope", "ca"})


def check_auth(value: Any, path: str) -> list[FieldError]:
    """List what is wrong with an `auth` by itself. Nothing of it is repeated: it holds secrets."""
    if not isinstance(value, dict):
        return [FieldError(path, 'must be an object such as {"type": "none"}')]
    errors = one_of(*_KINDS)(value.get("type"), f"{path}/type")
    if errors:
        return errors
    kind = _KINDS[value["type"]]
    errors = [
        FieldError(f"{path}/{name}", "is missing") for name in kind if name not in value and name not in _OPTIONAL
    ]
    errors += check_fields({name: given for name, given in value.items() if name != "type"}, kind, path)
    if errors:
        return errors
    if value["type"] == "header":
        return _check_header(value["name"], value["value"], path)
    if value["type"] == "mtls":
        return check_identity(ClientIdentity(value["certificate"], value["private_key"], value.get("ca")), path)
    return []


def check_with_auth(given: Mapping[str, Any]) -> list[FieldError]:
    """List what does not go together with the `auth` of an endpoint whose fields are each right by themselves."""
    auth = given.get("auth", {"type": "none"})
    ours = headers_set_by(auth)
    errors = [
        FieldError(f"/headers/{name}", f"{name.lower()} is set by auth")
        for name in given.get("headers", {})
        if name.lower() in ours
    ]
    return errors + check_url_with_auth(given["url"], auth, "/url")


def check_url_with_auth(url: str, auth: Mapping[str, str], path: str) -> list[FieldError]:
    """List what an `auth` that is right has against a URL that is right: a client certificate is shown in TLS alone."""
    if auth["type"] == "mtls" and not url.lower().startswith("https://"):
        return [FieldError(path, "must begin with https:// for the authentication mtls")]
    return []


def check_certificate_now(auth: object, now: datetime) -> None:
    """Refuse a client certificate that is not valid at `now`. Raises InvalidDocument.

    `auth` is what a request gave; what is of another shape is left to those who read the document.
    """
    certificate = auth.get("certificate") if isinstance(auth, Mapping) else None
    errors = check_is_valid_at(certificate, now, f"{PATH}/certificate") if isinstance(certificate, str) else []
    if errors:
        raise InvalidDocument("1 field is wrong.", errors=errors)


def _check_header(name: str, value: str, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for field, header in (("name", {name: ""}), ("value", {"x": value})):
        try:
            check_headers(header, path=path)
        except CallerError as error:
            errors += [FieldError(f"{path}/{field}", one.message) for one in error.errors]
    return errors
