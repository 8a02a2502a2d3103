"""Names what went wrong in an attempt, from the exceptions of sockets, TLS and aiohttp."""

import errno
import os
import socket
import ssl

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from waypost.delivery.connector import Exchange
from waypost.delivery.result import Outcome

# What is wrong with an answer, in words of ours: the parser's quote the receiver, who may quote our request.
NOT_HTTP = "the answer does not begin as HTTP does"
MALFORMED = "the answer is not well-formed HTTP"
HEADERS_TOO_LONG = "the headers of the answer are too long or too many"
LENGTH_UNCLEAR = "the answer is at odds with itself about its length"
CHUNKS_WRONG = "the chunks of the answer do not add up"
BROKE_OFF = "the connection ended in the middle of the answer"
ANSWERED_TOO_EARLY = "the answer came before the request was read"

# Pieces of the parser's messages, in the order in which they are looked for.
_FAULTS = (
    ("Bad status line", NOT_HTTP),
    ("Got more than", HEADERS_TOO_LONG),
    ("Too many headers", HEADERS_TOO_LONG),
    ("chunk", CHUNKS_WRONG),
    ("Content-Length", LENGTH_UNCLEAR),
    ("Transfer-Encoding", LENGTH_UNCLEAR),
)

# Ours, not the receiver's: no file handles, no free ports, no memory for buffers.
_OUR_TROUBLE = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})


def classify(error: Exception, exchange: Exchange) -> tuple[Outcome, str]:
    """Name what went wrong, and say it in a technical sentence that holds no part of the request."""
    if exchange.refusal is not None:
        return "address_not_allowed", exchange.refusal
    if exchange.protocol is None:
        return _classify_no_connection(error, exchange)
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return "tls", _tls_text(error if isinstance(error, ssl.SSLError) else error.__cause__)
    if exchange.protocol.tls_error is not None and not exchange.protocol.first_byte_at:
        return "tls", _tls_text(exchange.protocol.tls_error)
    if not exchange.protocol.first_byte_at:
        return "reset", "the connection ended before any answer"
    if exchange.protocol.fault is not None:
        return "bad_answer", exchange.protocol.fault
    # What reads a body is told only that it ended; the protocol knows why.
    known = error if isinstance(error, HttpProcessingError) else exchange.protocol.exception()
    return "bad_answer", _fault_of(known) if isinstance(known, HttpProcessingError) else BROKE_OFF


def _classify_no_connection(error: Exception, exchange: Exchange) -> tuple[Outcome, str]:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    if isinstance(cause, socket.gaierror | UnicodeError):
        return "dns", f"no address for the name: {cause.strerror if isinstance(cause, OSError) else cause}"
    if isinstance(cause, ssl.SSLError | ssl.CertificateError):
        return "tls", _tls_text(cause)
    if exchange.connected_at and exchange.is_tls:
        return "tls", "the connection ended while agreeing on TLS"
    if isinstance(cause, OSError) and cause.errno in _OUR_TROUBLE:
        return "cancelled", f"this machine could not open a connection: {cause.strerror}"
    if isinstance(cause, OSError) and cause.errno == errno.ETIMEDOUT:
        return "timeout", "no connection: timed out"
    if isinstance(cause, OSError):
        return "refused", f"no connection: {os.strerror(cause.errno) if cause.errno else cause}"
    return "refused", f"the request could not be made: {error}"


def _fault_of(error: HttpProcessingError) -> str:
    said = error.message.partition("\n")[0]
    return next((fault for piece, fault in _FAULTS if piece in said), MALFORMED)


def _tls_text(error: BaseException | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    reason = error.reason if isinstance(error, ssl.SSLError) and error.reason else str(error)
    return f"no agreement on TLS: {reason.replace('_', ' ').lower()}"


def on_one_line(text: str) -> str:
    """Give `text` on one line without control characters or lone surrogates: parts of it are the receiver's."""
    return "".join([char if char.isprintable() else " " for char in text])
