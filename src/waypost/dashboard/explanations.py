"""Says in the person's language what was kept in English: why an attempt went as it did, why something waits.

The sentences are stored as they were said, with their values in them. Each is found again by its pattern, and said
in the other language with the same values; one that has no pattern stays as it is.
"""

import re
from collections.abc import Iterator
from functools import cache

from jinja2 import pass_context
from jinja2.runtime import Context

from waypost.dashboard.words import LANGUAGE_DEFAULT, Words

# One sentence each, the narrow before the wide: the first that fits is taken.
_SENTENCES = (
    "Your server answered %(status)s in under 1 ms.",
    "Your server answered %(status)s in %(ms)s ms.",
    "Of its answer only the first %(kib)s KiB were read; a short body, or none, is enough.",
    "Your server answered 410 Gone, which means: stop sending.",
    "A delivery answered so suspends the endpoint; its events are kept.",
    "Your server answered %(status)s: it did not understand our request.",
    "Your server answered %(status)s: it refuses our request.",
    "Your server answered %(status)s: it knows no such path.",
    "Your server answered %(status)s: it takes no POST at this path.",
    "Your server answered %(status)s: it waited too long for our request.",
    "Your server answered %(status)s: it sees a conflict with what it already has.",
    "Your server answered %(status)s: it refuses our request as it was sent.",
    "Your server answered %(status)s: our request is too large for it.",
    "Your server answered %(status)s: it does not take application/json.",
    "Your server answered %(status)s: it could not use what we sent.",
    "Your server answered %(status)s: it asks us to slow down.",
    "Your server answered %(status)s: it failed while working on our request.",
    "Your server answered %(status)s: the proxy in front of it did not reach it.",
    "Your server answered %(status)s: it is not available at the moment.",
    "Your server answered %(status)s: the proxy in front of it waited too long for it.",
    "Your server answered %(status)s: it wants to change the protocol, which webhooks do not.",
    "Your server answered %(status)s: it sends us elsewhere.",
    "Your server answered %(status)s: it does not accept this event.",
    "Your server answered %(status)s, which is no status of HTTP.",
    "Your server answered %(status)s to our access token.",
    "Your server answered %(status)s, but did not finish its answer within %(s)s seconds.",
    "Its log should say why.",
    "Check its authentication.",
    "Check its authentication, or a firewall in front of it.",
    "Check the address.",
    "Raise its limit, or choose a smaller payload.",
    "Redirects are not followed: enter the final address.",
    "A success is 200 to 299.",
    "Look at its answer for the reason.",
    "We try again with another one.",
    "A short body, or none, is enough.",
    "Your server began to answer, but the headers of its answer did not end within %(s)s seconds.",
    "Look at what it sends, and at a proxy in front of it.",
    "Your server did not answer within %(s)s seconds.",
    "It accepted the connection; the work behind it is slow.",
    "Answer first, then do the work.",
    "Your server accepted the connection, but agreed on no encryption (TLS) within %(s)s seconds.",
    "No connection to your server within %(s)s seconds.",
    "Check that it runs, and the firewall in front of it.",
    "The name of your server could not be looked up within %(s)s seconds.",
    "Its name servers do not answer.",
    "No server has this name.",
    "Check the address for a typing error.",
    "Nothing takes connections.",
    "Nothing takes connections at %(address)s.",
    "Check that your server runs, and the port in the address.",
    "Your server had closed the connection that was used before.",
    "We try again at once on a new one.",
    "Your server closed the connection without an answer.",
    "Your server closed the connection without an answer, as servers do that do not accept a client certificate.",
    "Our client certificate cannot be used.",
    "Give it anew, with its own key.",
    "The certificate of your server has expired.",
    "Renew it.",
    "The certificate of your server is not valid yet.",
    "Check the clock of the machine that made it.",
    "The certificate of your server is for another name.",
    "Check the address, or get one for this name.",
    "The certificate of your server is signed by nobody we trust.",
    "Use one of a public authority.",
    "The certificate of your server cannot be traced to an authority.",
    "Serve the whole chain.",
    "Your server does not speak TLS at this port.",
    "Use http://, or the port that speaks https.",
    "The certificate of your server is not accepted.",
    "Check it with a browser.",
    "We could not agree with your server on an encrypted connection (TLS).",
    "Your server wants a client certificate.",
    "Give one with the authentication mtls.",
    "Our client certificate has expired.",
    "Give a new one.",
    "Your server does not accept our client certificate.",
    "Check that it trusts the authority that signed it.",
    "This address may not be reached.",
    "Use a public one, or ask your operator to allow its network.",
    "Use a public one, or ask your operator to allow its network (WAYPOST_EGRESS_ALLOW).",
    "Use the full name.",
    "What your server answered is not HTTP.",
    "Check the address and the port.",
    "Your server began to answer, but the connection ended in the middle of the answer.",
    "Your server began to answer %(status)s, but the connection ended in the middle of the answer.",
    "Your server began to answer, but the answer is not well-formed HTTP.",
    "Your server began to answer %(status)s, but the answer is not well-formed HTTP.",
    "Look at its headers.",
    "Your server began to answer, but its headers are too long or too many: at most 128 are read, of 8 KB each.",
    (
        "Your server began to answer %(status)s, but its headers are too long or too many: "
        "at most 128 are read, of 8 KB each."
    ),
    "Send fewer.",
    "Your server began to answer, but the answer is at odds with itself about its length.",
    "Your server began to answer %(status)s, but the answer is at odds with itself about its length.",
    "Send one Content-Length, or chunks, and never both.",
    "Your server began to answer, but the chunks of its answer do not add up.",
    "Your server began to answer %(status)s, but the chunks of its answer do not add up.",
    "A proxy may have spoilt them.",
    "Your server answered as if it had the event, but did not read all of it.",
    "Read the request first, then answer.",
    "Your server began to answer, and went on without ever coming to an end.",
    "Your server began to answer %(status)s, and went on without ever coming to an end.",
    "Your server sent one interim answer (1xx) after the other, and no final one.",
    "We gave this attempt up on our side; your server has no part in it.",
    "It is made again.",
    "What was to be sent is not in the log any more: it was kept for as long as events are kept.",
    "It waited for as long as owed events are kept, and was given up.",
    "Its retry schedule is used up; the last attempt: answer %(status)s.",
    "Its retry schedule is used up; the last attempt: %(outcome)s.",
    "While the endpoint was behind, it was folded into %(event)s, which tells what it told.",
    "The endpoint did not ask for this event.",
    "The endpoint is failing.",
    "The endpoint is suspended.",
    "The endpoint is paused.",
    "It waits for %(event)s, which comes before it.",
    "Its turn has not come yet.",
    "%(host)s is a private address.",
    "%(host)s is a loopback address.",
    "%(host)s is a link-local address.",
    "%(host)s resolves to %(address)s, a private address.",
    "%(host)s resolves to %(address)s, a loopback address.",
    "%(host)s is a cloud metadata server, which webhooks never reach.",
    "%(host)s is a name without a dot.",
)
_PLACE = re.compile(r"%\\\((\w+)\\\)s|%\((\w+)\)s")
_BETWEEN = re.compile(r"(?<=\.) (?=[A-Z0-9\[])")


def sentences() -> Iterator[str]:
    """Give every sentence that has a pattern, for the translators."""
    yield from _SENTENCES


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(_expression(sentence)), sentence) for sentence in _SENTENCES)


def _expression(sentence: str) -> str:
    """The sentence as a regular expression: its values are without blanks, and one second is as good as many."""
    escaped = re.escape(sentence).replace(r"seconds\.", r"seconds?\.")
    return _PLACE.sub(lambda place: rf"(?P<{place[1] or place[2]}>\S+)", escaped)


def in_language(text: str, words: Words) -> str:
    """Give an explanation that was kept in English in the language of `words`, sentence by sentence."""
    if words.language == LANGUAGE_DEFAULT:
        return text
    return " ".join(_one(sentence, words) for sentence in _BETWEEN.split(text))


def _one(sentence: str, words: Words) -> str:
    for pattern, known in _patterns():
        found = pattern.fullmatch(sentence)
        if found is not None:
            return words(known, **found.groupdict())
    return sentence


def is_known(text: str) -> bool:
    """Whether each sentence of an explanation has a pattern."""
    return all(any(pattern.fullmatch(sentence) for pattern, _ in _patterns()) for sentence in _BETWEEN.split(text))


@pass_context
def explained(context: Context, text: str | None) -> str | None:
    """Give an explanation in the language of the page; None stays None."""
    return None if text is None else in_language(text, context["words"])
