"""Code on pages: its parts marked, its text untouched, and nothing in it that a browser would take for HTML."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.dashboard.highlighting import HIGHLIGHTED_CHARACTERS_MAX, highlight, readable

LANGUAGES = ("json", "python", "javascript", "php", "c#", "java", "go", "curl", "diff", "no such")


@given(text=st.text(), language=st.sampled_from(LANGUAGES))
def test_marking_changes_no_character(text: str, language: str) -> None:
    made = str(highlight(text, language))
    assert html.unescape(re.sub(r"</?span[^>]*>", "", made)) == html.unescape(html.escape(text))


@given(text=st.text(alphabet="<>&\"'scriptKn:1,{}/*#+-\n "), language=st.sampled_from(LANGUAGES))
def test_only_our_own_marks_are_tags(text: str, language: str) -> None:
    rest = re.sub(r'<span class="[ksncad]">|</span>', "", str(highlight(text, language)))
    assert "<" not in rest
    assert ">" not in rest


def test_keys_strings_and_numbers_of_json_are_told_apart() -> None:
    made = highlight('{"n": 3, "ok": true, "name": "n: 3"}')
    assert made == (
        '{<span class="k">&#34;n&#34;</span>: <span class="n">3</span>, <span class="k">&#34;ok&#34;</span>: '
        '<span class="n">true</span>, <span class="k">&#34;name&#34;</span>: <span class="s">&#34;n: 3&#34;</span>}'
    )


def test_what_is_very_long_stays_plain() -> None:
    assert "<span" not in highlight("1 " * HIGHLIGHTED_CHARACTERS_MAX)


@pytest.mark.parametrize("given_value", ['{"a":[1]}', b'{"a":[1]}', {"a": [1]}])
def test_json_is_indented_whatever_it_comes_as(given_value: object) -> None:
    assert readable(given_value) == '{\n  "a": [\n    1\n  ]\n}'


@pytest.mark.parametrize("given_value", ["<html>", b"<html>", b"\xff"])
def test_what_is_no_json_stays_as_it_is(given_value: str | bytes) -> None:
    shown = given_value if isinstance(given_value, str) else given_value.decode("utf-8", "replace")
    assert readable(given_value) == shown


def test_text_over_several_lines_is_one_string_of_python() -> None:
    made = str(highlight('"""Give it\nback."""\nreturn 1', "python"))
    assert made.startswith('<span class="s">&#34;&#34;&#34;Give it\nback.&#34;&#34;&#34;</span>')
    assert '<span class="k">return</span>' in made
