"""The colours as they are in the stylesheet: words on every ground they stand on can be read, in both themes."""

import re
from pathlib import Path

import pytest

SHEET = (Path(__file__).parents[2] / "src/waypost/dashboard/static/waypost.css").read_text(encoding="utf-8")
TEXT, MARK = 4.5, 3.0  # WCAG 2.2: of words, of shapes and the borders of fields

PAIRS = [
    *((word, ground, TEXT) for word in ("ink", "ink-2", "ink-3", "accent", "accent-2") for ground in ("surface", "bg")),
    *((word, "sunken", TEXT) for word in ("ink", "ink-2", "ink-3", "accent", "ok", "warn", "bad")),
    *((word, "surface", TEXT) for word in ("ok", "warn", "bad", "hold")),
    *((word, f"{word}-soft", TEXT) for word in ("ok", "warn", "bad", "hold", "accent")),
    *(("ink", f"{ground}-soft", TEXT) for ground in ("ok", "warn", "bad", "accent")),
    *(("ink-2", f"{ground}-soft", TEXT) for ground in ("ok", "warn", "bad")),
    *((f"{mark}-mark", "surface", MARK) for mark in ("ok", "warn", "bad", "hold")),
    *(("field", ground, MARK) for ground in ("surface", "bg")),
    *((f"c-{part}", "surface", MARK) for part in ("done", "retry", "fail", "wait")),
    *((f"t-{part}", "surface", MARK) for part in ("dns", "conn", "tls", "wait", "body")),
    ("on-accent", "accent", TEXT),
    ("on-accent", "accent-2", TEXT),
    ("bg", "ink", TEXT),
]


def colours(theme: str) -> dict[str, str]:
    """The properties of a theme; the dark one changes those of the light one."""
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", block)) for block in _roots())
    return light if theme == "light" else light | dark


def _roots() -> tuple[str, str]:
    light = SHEET[SHEET.index(":root {") :]
    dark = SHEET[SHEET.index("prefers-color-scheme: dark") :]
    return light[: light.index("}")], dark[: dark.index("}")]


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, by WCAG 2.2."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("word", "ground", "least"), PAIRS)
def test_word_can_be_read_on_its_ground(theme: str, word: str, ground: str, least: float) -> None:
    found = colours(theme)
    assert contrast(found[word], found[ground]) >= least


def test_both_themes_say_every_colour() -> None:
    light, dark = colours("light"), dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", _roots()[1]))
    assert light.keys() == dark.keys()


def test_every_property_that_is_used_is_there() -> None:
    used = set(re.findall(r"var\(--([\w-]+)", SHEET))
    assert used <= set(re.findall(r"--([\w-]+):", SHEET))


def test_no_colour_is_written_outside_the_properties() -> None:
    rest = SHEET[SHEET.index("/* ---- ground ---- */") :]
    assert re.findall(r"(?<![\w&%'(])#[0-9a-f]{3,8}\b", rest) == []
