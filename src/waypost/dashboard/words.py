"""The languages of the pages: English in the code, the others from `locale/LANGUAGE/LC_MESSAGES/waypost.po`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from gettext import NullTranslations
from importlib.resources import files
from io import BytesIO

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

LANGUAGES = {"en": "English", "is": "Íslenska", "et": "Eesti"}
LANGUAGE_DEFAULT = "en"


@dataclass(frozen=True, slots=True)
class Words:
    """A language: calling it gives a sentence, with its values put in by name: `words("%(n)s wait", n=3)`."""

    language: str
    translations: NullTranslations

    def __call__(self, message: str, /, **values: object) -> str:
        """Give the sentence in this language."""
        said = self.translations.gettext(message)
        return said % values if values else said

    def number(self, one: str, many: str, n: int, /, **values: object) -> str:
        """Give the sentence for a number; `%(n)s` stands for it, with its thousands apart."""
        return self.translations.ngettext(one, many, n) % {"n": f"{n:,}", **values}

    @property
    def locale(self) -> Locale:
        """How dates and numbers are written."""
        return Locale.parse({"en": "en_GB"}.get(self.language, self.language))


@cache
def words_of(language: str) -> Words:
    """Give a language by its code; English for one that there is not."""
    if language not in LANGUAGES or language == LANGUAGE_DEFAULT:
        return Words(LANGUAGE_DEFAULT, NullTranslations())
    source = files("waypost.dashboard") / "locale" / language / "LC_MESSAGES" / "waypost.po"
    compiled = BytesIO()
    with source.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return Words(language, Translations(compiled))


def choose_language(asked: str | None, accepted: str) -> str:
    """Give the language that was asked for, else the best of an `Accept-Language` header, else English."""
    if asked in LANGUAGES:
        return asked
    for code in _by_preference(accepted):
        if code in LANGUAGES:
            return code
    return LANGUAGE_DEFAULT


def _by_preference(accepted: str) -> Sequence[str]:
    """The primary codes of the header, the most wanted first."""
    wanted: list[tuple[float, str]] = []
    for part in accepted.split(",")[:20]:
        code, _, weight = part.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        wanted.append((-quality, code.strip().lower().partition("-")[0]))
    return [code for _, code in sorted(wanted, key=lambda pair: pair[0])]
