"""Goes through a captured request part by part, for a person who wants to know why it is refused."""

from collections.abc import Iterable
from dataclasses import dataclass

from waypost.receiver.signature import (
    TOLERANCE_S,
    Headers,
    MalformedSecret,
    Matcher,
    Now,
    SignatureError,
    check_time,
    given_secrets,
    matcher,
    matches,
    read_headers,
    seconds,
    was_rewritten,
)

_CONTEXT_BYTES = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of a request: headers, time, secret or body. `ok` is None where the other parts leave it open."""

    part: str
    ok: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong with a request: `verdict` in one sentence, and the findings it follows from."""

    ok: bool
    verdict: str
    findings: tuple[Finding, ...]


def diagnose(
    body: bytes,
    headers: Headers,
    *,
    secret: str | Iterable[str],
    now: Now = None,
    tolerance_s: float = TOLERANCE_S,
    sent: bytes | None = None,
) -> Diagnosis:
    """Say of each part of a captured request whether it is right. Never raises for what the request holds.

    The arguments are those of `verify`. `sent` is the body as it was sent, where it is known: it tells a wrong secret
    from a changed body.
    """
    try:
        message_id, timestamp, signatures = read_headers(headers)
    except SignatureError as error:
        part = "time" if error.part == "timestamp" else "headers"
        return Diagnosis(False, str(error), (Finding(part, False, str(error)),))
    findings = [
        Finding("headers", True, "All three are there and well formed."),
        _judge_time(timestamp, seconds(now), tolerance_s),
    ]
    try:
        checks = [matcher(one) for one in given_secrets(secret)]
    except MalformedSecret as error:
        findings.append(Finding("secret", False, str(error)))
    else:
        findings += _judge_body(checks, message_id, timestamp, body, signatures, sent)
    wrong = [finding for finding in findings if finding.ok is False] or [f for f in findings if f.ok is None]
    return Diagnosis(not wrong, wrong[-1].text if wrong else "The signature is right.", tuple(findings))


def _judge_time(timestamp: int, now_s: float, tolerance_s: float) -> Finding:
    try:
        check_time(timestamp, now_s, tolerance_s)
    except SignatureError as error:
        return Finding("time", False, str(error))
    return Finding(
        "time", True, f"It was signed {abs(now_s - timestamp):.0f} s from now; {tolerance_s:.0f} s are fine."
    )


def _judge_body(
    checks: list[Matcher], message_id: str, timestamp: int, body: bytes, signatures: list[str], sent: bytes | None
) -> list[Finding]:
    right_secret = Finding("secret", True, "It made this signature.")
    if matches(checks, message_id, timestamp, body, signatures):
        return [right_secret, Finding("body", True, f"All {len(body):,} bytes are as they were signed.")]
    if sent is not None and matches(checks, message_id, timestamp, sent, signatures):
        return [right_secret, Finding("body", False, f"The body was changed after it was signed: {_where(sent, body)}")]
    if was_rewritten(checks, message_id, timestamp, body, signatures):
        text = "The JSON was read and written again. Check the bytes as they came, then read them."
        return [right_secret, Finding("body", False, text)]
    if sent == body:
        return [
            Finding("secret", False, "Another secret made this signature."),
            Finding("body", True, "It is as sent."),
        ]
    text = "Another secret made this signature, or the body was changed after it was signed."
    return [Finding("secret", None, text), Finding("body", None, text)]


def _where(sent: bytes, got: bytes) -> str:
    """Say where two bodies part."""
    shorter = min(len(sent), len(got))
    at = next((index for index in range(shorter) if sent[index] != got[index]), shorter)
    around = slice(max(0, at - _CONTEXT_BYTES), at + _CONTEXT_BYTES)
    lengths = (
        f"{len(got):,} bytes instead of {len(sent):,}" if len(got) != len(sent) else f"{len(sent):,} bytes as sent"
    )
    return f"{lengths}, the first difference is at byte {at}: sent …{_show(sent[around])}…, here …{_show(got[around])}…"


def _show(part: bytes) -> str:
    return "".join(char if char.isprintable() else "·" for char in part.decode("utf-8", "replace"))
