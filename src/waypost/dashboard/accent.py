"""The accent of a portal: the TMS's colour, darkened or lightened as far as reading needs it.

Whatever colour is given, words in it can be read (WCAG 2.2: 4.5 to 1) on our grounds, in light and in dark, and so can
words on it. Its hue stays.
"""

import colorsys
from dataclasses import dataclass

CONTRAST_MIN = 4.5
LIGHT_GROUNDS, DARK_GROUNDS = ("#ffffff", "#faf8f4", "#f3f0ea"), ("#1e1c18", "#171512", "#2b2823")
STEPS = 100


@dataclass(frozen=True, slots=True)
class Accent:
    """The tokens of one theme, as colours of CSS."""

    accent: str
    hover: str
    on_accent: str
    soft: str


def accent_css(colour: str) -> str:
    """Give the style sheet that sets the accent of both themes from one colour such as `#155e8a`."""
    return (
        f":root{{{_tokens(light(colour))}}}\n@media (prefers-color-scheme: dark){{:root{{{_tokens(dark(colour))}}}}}\n"
    )


def light(colour: str) -> Accent:
    """Give the tokens on light grounds: the colour itself, if it is dark enough, else a darker one."""
    accent = _readable(colour, LIGHT_GROUNDS, towards=0.0)
    soft = _mixed(accent, "#ffffff", 0.12)
    accent = _readable(accent, (*LIGHT_GROUNDS, soft), towards=0.0)
    return Accent(accent, _moved(accent, 0.0, 0.2), _on(accent), soft)


def dark(colour: str) -> Accent:
    """Give the tokens on dark grounds: the colour itself, if it is light enough, else a lighter one."""
    accent = _readable(colour, DARK_GROUNDS, towards=1.0)
    soft = _mixed(accent, "#1e1c18", 0.2)
    accent = _readable(accent, (*DARK_GROUNDS, soft), towards=1.0)
    return Accent(accent, _moved(accent, 1.0, 0.25), _on(accent), soft)


def contrast(one: str, other: str) -> float:
    """Give the contrast of two colours as WCAG counts it: 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _tokens(accent: Accent) -> str:
    return (
        f"--accent:{accent.accent};--accent-2:{accent.hover};--on-accent:{accent.on_accent};--accent-soft:{accent.soft}"
    )


def _readable(colour: str, grounds: tuple[str, ...], *, towards: float) -> str:
    for step in range(STEPS + 1):
        moved = _moved(colour, towards, step / STEPS)
        if all(contrast(moved, ground) >= CONTRAST_MIN for ground in grounds):
            return moved
    return colour


def _on(accent: str) -> str:
    return max(("#ffffff", "#12110e"), key=lambda ink: contrast(ink, accent))


def _moved(colour: str, towards: float, share: float) -> str:
    """The colour with its lightness brought a share of the way to black (0) or white (1)."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*_parts(colour))
    return _written(colorsys.hls_to_rgb(hue, lightness + (towards - lightness) * share, saturation))


def _mixed(colour: str, ground: str, share: float) -> str:
    return _written(
        tuple(one * share + other * (1 - share) for one, other in zip(_parts(colour), _parts(ground), strict=True))
    )


def _luminance(colour: str) -> float:
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in _parts(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _parts(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))


def _written(parts: tuple[float, ...]) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)
