"""The languages of the pages: each text is there in each of them, with its values in place."""

import re
from datetime import UTC, datetime
from typing import get_args

import pytest

from waypost.dashboard import extract
from waypost.dashboard.explanations import in_language, is_known, sentences
from waypost.dashboard.words import LANGUAGE_DEFAULT, LANGUAGES, words_of
from waypost.delivery import failures
from waypost.delivery.connector import ENDLESS, INTERIM_FLOOD
from waypost.delivery.dispatch import CUT_OFF, REFUSED_LATE
from waypost.delivery.explain import explain
from waypost.delivery.result import Outcome
from waypost.delivery.runner import LOST
from waypost.delivery.sender import AttemptResult, Timings

OTHERS = sorted(set(LANGUAGES) - {LANGUAGE_DEFAULT})
NOW = datetime(2026, 12, 1, 8, 15, tzinfo=UTC)
PLACE = re.compile(r"%\(\w+\)s|%%")


@pytest.fixture(scope="module")
def said():
    return extract.messages()


def english_of(message):
    return (message,) if isinstance(message, str) else message


@pytest.mark.parametrize("language", OTHERS)
def test_a_catalogue_holds_every_text_of_the_pages_and_no_other(language, said):
    held = {message.id for message in extract.read(language) if message.id}

    assert {english_of(one) for one in held} == {english_of(one) for one in said}, (
        "run `python -m waypost.dashboard.extract`, then translate what is empty"
    )
    assert not extract.read(language).obsolete


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_translated(language):
    untranslated = [
        message.id
        for message in extract.read(language)
        if message.id and (message.fuzzy or not all(english_of(message.string)) or not message.string)
    ]

    assert untranslated == []


def has_its_values(message):
    """A form may name its number where English says "one"; the last form has just what the plural has."""
    english, there = english_of(message.id), english_of(message.string)
    known = {place for text in english for place in PLACE.findall(text)}
    known |= {"%(n)s", "%(num)s"} if len(english) > 1 else set()
    return (
        len(there) == len(english)
        and set(PLACE.findall(there[-1])) == set(PLACE.findall(english[-1]))
        and all(set(PLACE.findall(text)) <= known and "%" not in PLACE.sub("", text) for text in there)
    )


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_values_of_its_text(language):
    wrong = [message.id for message in extract.read(language) if message.id and not has_its_values(message)]

    assert wrong == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_is_plain_and_does_not_shout(language):
    catalogue = [message for message in extract.read(language) if message.id]

    assert [one.id for one in catalogue for text in english_of(one.string) if "!" in text] == []


def test_icelandic_counts_twenty_one_as_it_counts_one():
    words = words_of("is")
    one, many = "%(count)s event waits.", "%(count)s events wait, in order."

    counted = [words.number(one, many, n, count=n) for n in (1, 2, 11, 21)]

    assert counted == [
        "1 atburður bíður.",
        "2 atburðir bíða, í réttri röð.",
        "11 atburðir bíða, í réttri röð.",
        "21 atburður bíður.",
    ]


def test_estonian_counts_only_one_as_one():
    words = words_of("et")

    counted = [words.number("%(count)s event waits.", "%(count)s events wait, in order.", n, count=n) for n in (1, 21)]

    assert counted == ["1 sündmus ootab.", "21 sündmust ootab, õiges järjekorras."]


def a_result(outcome, *, timings=None, **fields):
    return AttemptResult(outcome=outcome, started_at=NOW, timings_ms=timings or Timings(total=96.2), **fields)


TLS_TEXTS = (
    "the client certificate cannot be used", "tls alert: certificate required", "alert: certificate expired",
    "alert: unknown ca", "certificate has expired", "certificate is not yet valid", "hostname mismatch",
    "self-signed certificate", "unable to get local issuer certificate", "wrong version number",
    "the certificate is not accepted", "anything else",
)  # fmt: skip
BAD_ANSWERS = (
    failures.NOT_HTTP, failures.MALFORMED, failures.HEADERS_TOO_LONG, failures.LENGTH_UNCLEAR, failures.CHUNKS_WRONG,
    failures.BROKE_OFF, failures.ANSWERED_TOO_EARLY, ENDLESS, INTERIM_FLOOD,
)  # fmt: skip
PARTIAL = (
    {}, {"connect": 1.0}, {"connect": 1.0, "tls": 2.0}, {"connect": 1.0, "tls": 2.0, "first_byte": 3.0},
    {"connect": 1.0, "tls": 2.0, "first_byte": 3.0, "body": 4.0},
)  # fmt: skip


def every_result():
    """One of each way in which `explain` branches."""
    yield a_result("success", status=200)
    yield a_result("success", status=204, timings=Timings(total=0.4))
    yield a_result("success", status=200, truncated=True)
    yield from (a_result("status", status=status) for status in range(1000))
    yield from (a_result("timeout", timings=Timings(total=15_000.0, **parts)) for parts in PARTIAL)
    yield a_result("timeout", status=200, timings=Timings(total=15_000.0))
    yield a_result("dns")
    yield from (a_result("refused", address=address) for address in (None, "203.0.113.9:443", "[2001:db8::1]:443"))
    yield from (a_result("reset", reused_connection=reused) for reused in (False, True))
    yield from (a_result("tls", error_text=text) for text in TLS_TEXTS)
    yield a_result("address_not_allowed")
    yield a_result("address_not_allowed", error_text="10.0.4.7 is a private address.")
    yield a_result("address_not_allowed", error_text="tms.example resolves to 10.0.4.7, a private address.")
    yield from (a_result("bad_answer", error_text=text, status=s) for text in BAD_ANSWERS for s in (None, 200))
    yield a_result("cancelled")
    yield from (a_result("reset", explanation=kept) for kept in (LOST, CUT_OFF, REFUSED_LATE))


def test_the_results_that_are_explained_here_are_of_every_outcome():
    assert {result.outcome for result in every_result()} == set(get_args(Outcome))


@pytest.mark.parametrize("timeout_s", [1, 15, 2.5])
def test_every_explanation_of_an_attempt_has_its_patterns(timeout_s):
    unknown = {text for result in every_result() if not is_known(text := explain(result, timeout_s))}

    assert unknown == set()


@pytest.mark.parametrize("language", OTHERS)
def test_no_sentence_of_an_explanation_stays_english(language):
    words = words_of(language)
    english = {
        (text, said)
        for result in every_result()
        if (said := in_language(text := explain(result, 15), words)) and set(text.split(". ")) & set(said.split(". "))
    }

    assert english == set()
    assert all(words(sentence) != sentence for sentence in sentences())


def test_an_explanation_keeps_its_values_in_the_other_language():
    kept = "Your server answered 401: it refuses our request. Check its authentication."

    assert in_language(kept, words_of("is")) == (
        "Þjónninn þinn svaraði 401: hann hafnar beiðni okkar. Athugaðu auðkenningu hans."
    )
    assert in_language("Your server answered 200 in 96 ms.", words_of("et")) == (
        "Sinu server vastas 200, aega kulus 96 ms."
    )


def test_an_explanation_is_as_it_was_kept_in_english():
    kept = "No server has this name. Check the address for a typing error."

    assert in_language(kept, words_of("en")) == kept


def test_what_has_no_pattern_stays_as_it_was_kept():
    assert in_language("A sentence of another version.", words_of("is")) == "A sentence of another version."
