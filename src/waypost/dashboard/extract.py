"""Gathers every text of the pages into the catalogue of each language: `python -m waypost.dashboard.extract`.

What is already translated stays; what is new comes in empty, and what is no longer said goes out.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir, extract_from_file
from babel.messages.pofile import read_po, write_po

from waypost.dashboard import choices, explanations
from waypost.dashboard.pages import audit, passkeys, provider
from waypost.dashboard.passwords import WEAKNESSES
from waypost.dashboard.words import LANGUAGE_DEFAULT, LANGUAGES
from waypost.events.filters import Filter
from waypost.events.wording import GROUPS, WORDING
from waypost.log import links

HERE = Path(__file__).parent
# Refusals that pages show are written where they are raised.
RAISED_IN = (HERE / "provider.py", HERE.parent / "log" / "people.py", HERE.parent / "log" / "links.py")
RAISED = {"Conflict": None, "Unauthorized": None}
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "words": None, "number": (1, 2)}
OPTIONS = {"templates/**.html": {"extensions": "jinja2.ext.do", "newstyle_gettext": "true", "silent": "false"}}
# The rule of each language; CLDR counts Icelandic decimals apart, which the pages never say.
PLURALS = {"is": "nplurals=2; plural=(n%10!=1 || n%100==11);", "et": "nplurals=2; plural=(n != 1);"}

Message: TypeAlias = str | tuple[str, ...]


def messages() -> set[Message]:
    """Give every text in English, those with a plural as a pair of them."""
    found: set[Message] = set(_data_texts())
    extracted = extract_from_dir(HERE, METHODS, OPTIONS, KEYWORDS, strip_comment_tags=True)
    found.update(message for _, _, message, _, _ in extracted if message)
    for path in RAISED_IN:
        found.update(message for _, message, _, _ in extract_from_file("python", path, RAISED) if message)
    return found


def _data_texts() -> Iterator[str]:
    """The texts that are data in the code, and are translated where they are shown."""
    for wording in WORDING.values():
        yield from (wording.title, wording.description)
    yield from GROUPS
    yield choices.OWN
    for title, hint in choices.CHANGED_WORDS.values():
        yield from (title, hint)
    yield from explanations.sentences()
    yield from (name.capitalize() for name in Filter.__struct_fields__ if name != "changed")
    yield from audit.ACTIONS.values()
    yield from WEAKNESSES
    yield from (passkeys.REFUSED, provider.STRANGER, links.USELESS)


def path_of(language: str) -> Path:
    """Give where the catalogue of a language is."""
    return HERE / "locale" / language / "LC_MESSAGES" / "waypost.po"


def read(language: str) -> Catalog:
    """Read the catalogue of a language; an empty one where there is none yet."""
    path = path_of(language)
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def gathered(language: str, wanted: Iterable[Message]) -> Catalog:
    """Give the catalogue of a language with just the wanted texts, and the translations that there are."""
    before = read(language)
    after = Catalog(locale=language, project="Waypost", fuzzy=False)
    for message in sorted(wanted, key=str):
        known = before.get(message if isinstance(message, str) else message[0])
        same_kind = known is not None and (isinstance(known.id, str) == isinstance(message, str))
        after.add(message, known.string if known is not None and same_kind else None)
    return after


def main() -> None:
    """Bring the catalogue of every other language up to date."""
    wanted = messages()
    for language in LANGUAGES:
        if language != LANGUAGE_DEFAULT:
            write(language, gathered(language, wanted))


def write(language: str, catalog: Catalog) -> None:
    """Write a catalogue, with nothing in it that changes when no text does."""
    path = path_of(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        'msgid ""',
        'msgstr ""',
        f'"Language: {language}\\n"',
        '"Content-Type: text/plain; charset=utf-8\\n"',
        '"Content-Transfer-Encoding: 8bit\\n"',
        f'"Plural-Forms: {PLURALS[language]}\\n"',
        "",
    ]
    with path.open("wb") as file:
        file.write("\n".join([*lines, ""]).encode())
        write_po(file, catalog, width=120, omit_header=True)


if __name__ == "__main__":
    main()
