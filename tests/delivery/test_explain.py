"""What a person is told about an attempt."""

from datetime import UTC, datetime
from typing import get_args

import pytest

from waypost.delivery.explain import explain
from waypost.delivery.sender import AttemptResult, Outcome, Timings

NOW = datetime(2026, 12, 1, 8, 15, tzinfo=UTC)


def a_result(outcome, *, timings=None, **fields):
    return AttemptResult(outcome=outcome, started_at=NOW, timings_ms=timings or Timings(total=96.2), **fields)


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (a_result("success", status=200), "Your server answered 200 in 96 ms."),
        (a_result("success", status=204, timings=Timings(total=0.4)), "Your server answered 204 in under 1 ms."),
        (
            a_result("status", status=401),
            "Your server answered 401: it refuses our request. Check its authentication.",
        ),
        (
            a_result("status", status=410),
            (
                "Your server answered 410 Gone, which means: stop sending. "
                "A delivery answered so suspends the endpoint; its events are kept."
            ),
        ),
        (
            a_result("status", status=308),
            "Your server answered 308: it sends us elsewhere. Redirects are not followed: enter the final address.",
        ),
        (a_result("status", status=418), "Your server answered 418: it refuses our request."),
        (a_result("status", status=520), "Your server answered 520: it failed while working on our request."),
        (
            a_result("status", status=999),
            "Your server answered 999, which is no status of HTTP. A success is 200 to 299.",
        ),
        (a_result("dns"), "No server has this name. Check the address for a typing error."),
        (
            a_result("refused", address="203.0.113.24"),
            "Nothing takes connections at 203.0.113.24. Check that your server runs, and the port in the address.",
        ),
        (
            a_result("address_not_allowed", error_text="10.0.4.7 is a private address."),
            "10.0.4.7 is a private address. Use a public one, or ask your operator to allow its network.",
        ),
        (
            a_result("tls", error_text="the certificate is not accepted: certificate has expired"),
            "The certificate of your server has expired. Renew it.",
        ),
        (
            a_result("bad_answer", status=200),
            (
                "Your server began to answer 200, but the connection ended in the middle of the answer. "
                "Its log should say why."
            ),
        ),
    ],
)
def test_what_happened_is_said_and_what_to_do(result, sentence):
    assert explain(result, 15) == sentence


@pytest.mark.parametrize(
    ("timings", "words"),
    [
        (Timings(dns=15000.0), "name of your server could not be looked up"),
        (Timings(dns=2.0, connect=14998.0), "No connection to your server within 15 seconds"),
        (Timings(dns=2.0, connect=8.0, tls=14990.0), "agreed on no encryption"),
        (Timings(dns=2.0, connect=8.0, first_byte=14990.0), "It accepted the connection; the work behind it is slow."),
    ],
)
def test_a_timeout_is_explained_by_where_the_time_went(timings, words):
    assert words in explain(a_result("timeout", timings=timings), 15)


def test_a_timeout_in_the_body_names_the_status_and_fractions_of_seconds_are_said_as_set():
    text = explain(a_result("timeout", status=200, timings=Timings(first_byte=1.0, body=1499.0)), 1.5)
    assert text == (
        "Your server answered 200, but did not finish its answer within 1.5 seconds. A short body, or none, is enough."
    )


@pytest.mark.parametrize("outcome", get_args(Outcome))
@pytest.mark.parametrize("reused", [False, True])
def test_every_outcome_has_a_sentence(outcome, reused):
    sentence = explain(a_result(outcome, reused_connection=reused), 1)
    assert sentence.endswith(".")
    assert len(sentence) > 20
