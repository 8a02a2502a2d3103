"""The code with which a receiver checks a signature, in each language, as the page that sets an endpoint up shows it.

It is the code that the how-to shows and the tests run: files of `receivers/`.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

_FILES: Mapping[str, str] = {
    "Python": "python/verify.py",
    "JavaScript": "javascript/verify.mjs",
    "PHP": "php/verify.php",
    "C#": "csharp/WaypostWebhook.cs",
}


@cache
def snippets() -> Mapping[str, str]:
    """Give the code by the name of its language, in the order in which the languages are offered."""
    folder = files("waypost.dashboard") / "receivers"
    return {language: (folder / name).read_text(encoding="utf-8") for language, name in _FILES.items()}
