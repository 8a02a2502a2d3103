"""Says in plain words what came of an attempt: what happened, and what the endpoint's owner can do."""

from collections.abc import Callable, Mapping

from waypost.delivery import failures
from waypost.delivery.connector import ENDLESS, INTERIM_FLOOD
from waypost.delivery.sender import ANSWER_BYTES_KEPT_MAX, AttemptResult

_ADVICE: Mapping[int, str] = {
    400: "it did not understand our request. Its log should say why.",
    401: "it refuses our request. Check its authentication.",
    403: "it refuses our request. Check its authentication, or a firewall in front of it.",
    404: "it knows no such path. Check the address.",
    405: "it takes no POST at this path. Check the address.",
    408: "it waited too long for our request.",
    409: "it sees a conflict with what it already has.",
    410: "which means: stop sending. A delivery answered so suspends the endpoint; its events are kept.",
    411: "it refuses our request as it was sent.",
    413: "our request is too large for it. Raise its limit, or choose a smaller payload.",
    415: "it does not take application/json.",
    422: "it could not use what we sent. Its log should say why.",
    429: "it asks us to slow down.",
    500: "it failed while working on our request. Its log should say why.",
    502: "the proxy in front of it did not reach it.",
    503: "it is not available at the moment.",
    504: "the proxy in front of it waited too long for it.",
}
_ADVICE_BY_CLASS: Mapping[int, str] = {
    1: "it wants to change the protocol, which webhooks do not. A success is 200 to 299.",
    3: "it sends us elsewhere. Redirects are not followed: enter the final address.",
    4: "it refuses our request.",
    5: "it failed while working on our request.",
}


def explain(result: AttemptResult, timeout_s: float) -> str:
    """Give one or two plain sentences about `result`, of an attempt that had `timeout_s` seconds."""
    if result.explanation is not None:
        return result.explanation
    if result.outcome == "success":
        answered = f"Your server answered {result.status} in {_milliseconds(result.timings_ms.total)}."
        return f"{answered} {_BODY_CUT}" if result.truncated else answered
    if result.outcome == "status":
        return _explain_status(result.status or 0)
    if result.outcome == "timeout":
        return _explain_timeout(result, f"{timeout_s:g} {'second' if timeout_s == 1 else 'seconds'}")
    return _EXPLANATIONS[result.outcome](result)


def _explain_status(status: int) -> str:
    if status == 410:
        return f"Your server answered 410 Gone, {_ADVICE[status]}"
    advice = _ADVICE.get(status) or _ADVICE_BY_CLASS.get(status // 100)
    if advice is None:
        return f"Your server answered {status:03}, which is no status of HTTP. A success is 200 to 299."
    return f"Your server answered {status}: {advice}"


def _explain_timeout(result: AttemptResult, limit: str) -> str:
    parts = result.timings_ms
    if result.status is not None:
        return (
            f"Your server answered {result.status}, but did not finish its answer within {limit}. "
            "A short body, or none, is enough."
        )
    if parts.body is not None:
        return (
            f"Your server began to answer, but the headers of its answer did not end within {limit}. "
            "Look at what it sends, and at a proxy in front of it."
        )
    if parts.first_byte is not None:
        return (
            f"Your server did not answer within {limit}. "
            "It accepted the connection; the work behind it is slow. Answer first, then do the work."
        )
    if parts.tls is not None:
        return f"Your server accepted the connection, but agreed on no encryption (TLS) within {limit}."
    if parts.connect is not None:
        return f"No connection to your server within {limit}. Check that it runs, and the firewall in front of it."
    return f"The name of your server could not be looked up within {limit}. Its name servers do not answer."


def _explain_dns(result: AttemptResult) -> str:
    return "No server has this name. Check the address for a typing error."


def _explain_refused(result: AttemptResult) -> str:
    where = f" at {result.address}" if result.address else ""
    return f"Nothing takes connections{where}. Check that your server runs, and the port in the address."


def _explain_reset(result: AttemptResult) -> str:
    if result.reused_connection:
        return "Your server had closed the connection that was used before. We try again at once on a new one."
    return "Your server closed the connection without an answer. Its log should say why."


def _explain_tls(result: AttemptResult) -> str:
    text = (result.error_text or "").lower()
    if "client certificate cannot be used" in text:
        return "Our client certificate cannot be used. Give it anew, with its own key."
    if "alert" in text and ("certificate" in text or "unknown ca" in text):
        return _explain_refused_certificate(text)
    if "expired" in text:
        return "The certificate of your server has expired. Renew it."
    if "not yet valid" in text:
        return "The certificate of your server is not valid yet. Check the clock of the machine that made it."
    if "mismatch" in text or "not valid for" in text:
        return "The certificate of your server is for another name. Check the address, or get one for this name."
    if "self-signed" in text or "self signed" in text:
        return "The certificate of your server is signed by nobody we trust. Use one of a public authority."
    if "issuer" in text:
        return "The certificate of your server cannot be traced to an authority. Serve the whole chain."
    if "wrong version number" in text or "record layer failure" in text:
        return "Your server does not speak TLS at this port. Use http://, or the port that speaks https."
    if "certificate is not accepted" in text:
        return "The certificate of your server is not accepted. Check it with a browser."
    return "We could not agree with your server on an encrypted connection (TLS)."


def _explain_refused_certificate(text: str) -> str:
    """An alert is what the other side says: it is about our certificate."""
    if "required" in text:
        return "Your server wants a client certificate. Give one with the authentication mtls."
    if "expired" in text:
        return "Our client certificate has expired. Give a new one."
    return "Your server does not accept our client certificate. Check that it trusts the authority that signed it."


def _explain_address(result: AttemptResult) -> str:
    reason = result.error_text or "This address may not be reached."
    if "Use " in reason:
        return reason
    return f"{reason} Use a public one, or ask your operator to allow its network."


def _explain_bad_answer(result: AttemptResult) -> str:
    began = "Your server began to answer" + ("" if result.status is None else f" {result.status}")
    remedy = _BAD_ANSWERS.get(result.error_text or "")
    if remedy is None:
        return f"{began}, but the connection ended in the middle of the answer. Its log should say why."
    return remedy.format(began=began)


def _explain_cancelled(result: AttemptResult) -> str:
    return "We gave this attempt up on our side; your server has no part in it. It is made again."


_BODY_CUT = (
    f"Of its answer only the first {ANSWER_BYTES_KEPT_MAX // 1024} KiB were read; a short body, or none, is enough."
)

_BAD_ANSWERS: Mapping[str, str] = {
    failures.NOT_HTTP: "What your server answered is not HTTP. Check the address and the port.",
    failures.MALFORMED: "{began}, but the answer is not well-formed HTTP. Look at its headers.",
    failures.HEADERS_TOO_LONG: (
        "{began}, but its headers are too long or too many: at most 128 are read, of 8 KB each. Send fewer."
    ),
    failures.LENGTH_UNCLEAR: (
        "{began}, but the answer is at odds with itself about its length. "
        "Send one Content-Length, or chunks, and never both."
    ),
    failures.CHUNKS_WRONG: "{began}, but the chunks of its answer do not add up. A proxy may have spoilt them.",
    failures.ANSWERED_TOO_EARLY: (
        "Your server answered as if it had the event, but did not read all of it. Read the request first, then answer."
    ),
    ENDLESS: "{began}, and went on without ever coming to an end. A short body, or none, is enough.",
    INTERIM_FLOOD: (
        "Your server sent one interim answer (1xx) after the other, and no final one. A success is 200 to 299."
    ),
}

_EXPLANATIONS: Mapping[str, Callable[[AttemptResult], str]] = {
    "dns": _explain_dns,
    "refused": _explain_refused,
    "reset": _explain_reset,
    "tls": _explain_tls,
    "address_not_allowed": _explain_address,
    "bad_answer": _explain_bad_answer,
    "cancelled": _explain_cancelled,
}


def _milliseconds(ms: float) -> str:
    return "under 1 ms" if ms < 1 else f"{ms:.0f} ms"
