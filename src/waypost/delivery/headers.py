"""The headers of a webhook request: the ones Waypost makes, and which ones an endpoint may add."""

import re
from collections.abc import Mapping, Sequence

from waypost import __version__
from waypost.delivery.signing import signature_header
from waypost.errors import FieldError, InvalidDocument

USER_AGENT = f"Waypost/{__version__}"

HEADERS_MAX = 50
HEADER_VALUE_LENGTH_MAX = 4096
HEADERS_LENGTH_MAX = 16 * 1024  # names and values together; many servers stop reading at 8 or 16 KiB

# RFC 9110, 5.6.2: what a field name is made of. A blank in a name would go out as it stands.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
# RFC 9110, 5.5, without the bytes beyond ASCII, which every server reads differently.
_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?")

_OURS = "is set by Waypost"
_CONNECTION = "belongs to the connection, not to the request"
_TRUSTED = "is trusted by proxies and clouds, so it may not be made up"
_REFUSED_NAMES: Mapping[str, str] = {
    **dict.fromkeys(["host", "content-type", "content-length", "content-encoding", "user-agent"], _OURS),
    **dict.fromkeys(["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"], _CONNECTION),
    **dict.fromkeys(["expect", "http2-settings", "alt-svc"], _CONNECTION),
    **dict.fromkeys(["forwarded", "via", "x-real-ip", "x-original-url", "x-rewrite-url", "metadata"], _TRUSTED),
    "cookie": "would be shared by every request; use auth or a header of your own",
}
_REFUSED_PREFIXES: Mapping[str, str] = {
    "webhook-": _OURS,
    "waypost-": _OURS,
    "proxy-": _CONNECTION,
    "x-forwarded-": _TRUSTED,
    "metadata-": _TRUSTED,
    "x-aws-ec2-metadata-": _TRUSTED,
    "x-google-metadata-": _TRUSTED,
}


def build_headers(
    *,
    secrets: Sequence[str],
    message_id: str,
    timestamp: int,
    body: bytes,
    attempt: int,
    event_type: str,
    extra: Mapping[str, str] | None = None,
    content_type: str = "application/json",
    replay_id: str | None = None,
) -> dict[str, str]:
    """Give the headers of one webhook request, names in lower case.

    `secrets` are the live ones (two during a rotation), `timestamp` the Unix time of this attempt in seconds, `attempt`
    counts from 1, `extra` holds what the endpoint adds (its own headers and its authentication); ours win.
    `replay_id` names the job that sends the event again, None else. Raises MalformedSecret.
    """
    headers = {name.lower(): value for name, value in extra.items()} if extra else {}
    headers["content-type"] = content_type
    headers["user-agent"] = USER_AGENT
    headers["webhook-id"] = message_id
    headers["webhook-timestamp"] = str(timestamp)
    headers["webhook-signature"] = signature_header(secrets, message_id, timestamp, body)
    headers["waypost-attempt"] = str(attempt)
    headers["waypost-event-type"] = event_type
    if replay_id is not None:
        headers["waypost-replay"] = replay_id
    return headers


def check_headers(headers: Mapping[str, str], *, path: str = "/headers", with_auth: bool = False) -> None:
    """Refuse headers that an endpoint may not add. `with_auth` says that its `auth` makes an Authorization header.

    Raises InvalidDocument with every wrong one; paths are JSON Pointers below `path`.
    """
    errors = []
    seen: set[str] = set()
    for name, value in headers.items():
        problem = _problem_with_name(name, with_auth=with_auth) or _problem_with_value(value)
        if problem is None and name.lower() in seen:
            problem = f"{name.lower()} is given twice"
        if problem is not None:
            errors.append(FieldError(f"{path}/{_pointer_token(name)}", problem))
        seen.add(name.lower())
    if len(headers) > HEADERS_MAX:
        errors.append(FieldError(path, f"at most {HEADERS_MAX} headers, not {len(headers)}"))
    if sum(len(name) + len(value) for name, value in headers.items()) > HEADERS_LENGTH_MAX:
        errors.append(FieldError(path, f"all headers together are at most {HEADERS_LENGTH_MAX} characters"))
    if errors:
        detail = "1 header is wrong." if len(errors) == 1 else f"{len(errors)} headers are wrong."
        raise InvalidDocument(detail, errors=errors)


def _problem_with_name(name: str, *, with_auth: bool) -> str | None:
    if not _NAME.fullmatch(name):
        return "a header name is made of letters, digits and hyphens"
    lower = name.lower()
    if lower == "authorization" and with_auth:
        return "authorization is set by auth"
    # Servers that hand headers on as variables (CGI, WSGI, PHP) take an underscore for a hyphen.
    read = lower.replace("_", "-")
    reason = _REFUSED_NAMES.get(read)
    if reason is None:
        reason = next((why for prefix, why in _REFUSED_PREFIXES.items() if read.startswith(prefix)), None)
    return None if reason is None else f"{lower} {reason}"


def _problem_with_value(value: str) -> str | None:
    if len(value) > HEADER_VALUE_LENGTH_MAX:
        return f"a value is at most {HEADER_VALUE_LENGTH_MAX} characters"
    if not _VALUE.fullmatch(value):
        return "a value is printable ASCII without a blank at either end"
    return None


def _pointer_token(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
