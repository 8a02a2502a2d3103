"""Code blocks with their parts marked: JSON as events are written, and a little of what the snippets are written in."""

import re
from collections.abc import Mapping

import msgspec
from markupsafe import Markup, escape

HIGHLIGHTED_CHARACTERS_MAX = 100_000  # what is longer is shown plain: a page stays light

# Kinds of parts: k a key or keyword, s a string, n a number or constant, c a comment.
_JSON = re.compile(
    r'(?P<k>"(?:[^"\\]|\\.)*"(?=\s*:))'
    r'|(?P<s>"(?:[^"\\]|\\.)*")'
    r"|(?P<n>-?\b[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\b|\b(?:true|false|null)\b)"
)
_WORDS = (
    "and|as|async|await|break|case|catch|class|const|continue|def|do|else|except|export|finally|fn|for|from|func|function"
    "|if|import|in|is|let|match|namespace|new|not|or|package|pass|private|public|raise|readonly|return|static|string"
    "|switch|throw|throws|try|use|using|var|void|while|with|yield"
)
_STRINGS = r"""(?P<s>\"{3}.*?\"{3}|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
_NUMBERS = r"(?P<n>\b[0-9]+(?:\.[0-9]+)?\b|\b(?:True|False|None|true|false|null|nil)\b)"
_HASH = re.compile(rf"(?P<c>\#[^\n]*)|{_STRINGS}|{_NUMBERS}|(?P<k>\b(?:{_WORDS})\b)", re.DOTALL)
_SLASHES = re.compile(rf"(?P<c>//[^\n]*|/\*.*?\*/)|{_STRINGS}|{_NUMBERS}|(?P<k>\b(?:{_WORDS})\b)", re.DOTALL)
_DIFF = re.compile(r"(?P<a>^\+[^\n]*)|(?P<d>^-[^\n]*)", re.MULTILINE)

_GRAMMARS: Mapping[str, re.Pattern[str]] = {
    "json": _JSON,
    "python": _HASH,
    "curl": _HASH,
    "shell": _HASH,
    "javascript": _SLASHES,
    "php": _SLASHES,
    "c#": _SLASHES,
    "java": _SLASHES,
    "go": _SLASHES,
    "diff": _DIFF,
}


def highlight(text: str, language: str = "json") -> Markup:
    """Give code as HTML, its parts in `<span class="k">` and so on; a language that is not known stays plain."""
    grammar = _GRAMMARS.get(language.lower())
    if grammar is None or len(text) > HIGHLIGHTED_CHARACTERS_MAX:
        return escape(text)
    made: list[str] = []
    at = 0
    for part in grammar.finditer(text):
        made.append(str(escape(text[at : part.start()])))
        made.append(f'<span class="{part.lastgroup}">{escape(part.group())}</span>')
        at = part.end()
    made.append(str(escape(text[at:])))
    return Markup("".join(made))  # noqa: S704 - every piece of it is escaped above


def readable(value: object) -> str:
    """Give a JSON value, or the text or bytes of one, indented by two; what is no JSON comes back as it is."""
    if isinstance(value, (str, bytes)):
        try:
            return msgspec.json.format(value, indent=2) if isinstance(value, str) else _text(value)
        except msgspec.DecodeError:
            return value if isinstance(value, str) else value.decode("utf-8", "replace")
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _text(content: bytes) -> str:
    return msgspec.json.format(content, indent=2).decode()
