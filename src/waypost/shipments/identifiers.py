"""Identifiers with a check digit: SSCC and GLN of GS1, container numbers of ISO 6346.

Each function takes the identifier as written and gives the sentence that says what is wrong, or None.
"""

import re
from string import ascii_uppercase

_SSCC_DIGITS = 18
_GLN_DIGITS = 13
_SSCC_ZEROS = ord("0") * (3 * 9 + 9)  # what eighteen zeros would add up to, as characters
_GLN_ZEROS = ord("0") * (3 * 6 + 7)
# Owner code, category (U freight container, J detachable equipment, Z trailer or chassis), serial number, check digit.
_CONTAINER = re.compile(r"[A-Z]{3}[UJZ][0-9]{7}\Z")
_CONTAINER_KIND = re.compile(r"(?:CN|[1-9LMN][0-9A-Z][A-Z][A-Z0-9])\Z")
# ISO 6346 gives the letters the numbers from 10 on and leaves out the multiples of 11.
_LETTER_VALUES = dict(zip(ascii_uppercase, (value for value in range(10, 39) if value % 11), strict=True))


def sscc_problem(text: str) -> str | None:
    """Check an SSCC: 18 digits, the last of which is the GS1 check digit (mod 10)."""
    return _gs1_problem(text, _SSCC_DIGITS)


def gln_problem(text: str) -> str | None:
    """Check a GLN: 13 digits, the last of which is the GS1 check digit (mod 10)."""
    return _gs1_problem(text, _GLN_DIGITS)


def is_sscc(text: str) -> bool:
    """Tell quickly whether `text` is an SSCC."""
    # The check digit counts once, like every second digit before it, and makes the sum a multiple of ten.
    if len(text) != _SSCC_DIGITS or not (text.isascii() and text.isdigit()):
        return False
    digits = text.encode()
    return (3 * sum(digits[::2]) + sum(digits[1::2]) - _SSCC_ZEROS) % 10 == 0


def is_gln(text: str) -> bool:
    """Tell quickly whether `text` is a GLN."""
    if len(text) != _GLN_DIGITS or not (text.isascii() and text.isdigit()):
        return False
    digits = text.encode()
    return (3 * sum(digits[1::2]) + sum(digits[::2]) - _GLN_ZEROS) % 10 == 0


def container_problem(text: str) -> str | None:
    """Check a container number by ISO 6346: four letters, six digits and a check digit (mod 11)."""
    if not _CONTAINER.match(text):
        return "should be four letters and seven digits, as CSQU3054383"
    return _check_digit_problem(text[-1], _iso6346_check_digit(text[:10]))


def looks_like_container_number(text: str) -> bool:
    """Tell whether `text` has the form of a container number; its check digit may still be wrong."""
    return _CONTAINER.match(text) is not None


def is_container_kind(kind: str) -> bool:
    """Tell whether a unit's kind is a container: a size and type as `40HC`, `20DC`, `22G1`, or `CN` of Rec 21."""
    return _CONTAINER_KIND.match(kind) is not None


def gs1_check_digit(digits: str) -> str:
    """Compute the check digit for the digits before it: weights 3, 1, 3 … from the right, up to the next ten."""
    total = 3 * sum(map(int, digits[::-2])) + sum(map(int, digits[-2::-2]))
    return str(-total % 10)


def _gs1_problem(text: str, length: int) -> str | None:
    if len(text) != length or not (text.isascii() and text.isdigit()):
        return f"should be {length} digits"
    return _check_digit_problem(text[-1], gs1_check_digit(text[:-1]))


def _iso6346_check_digit(text: str) -> str:
    values = (_LETTER_VALUES.get(char) or int(char) for char in text)
    return str(sum(value << place for place, value in enumerate(values)) % 11 % 10)


def _check_digit_problem(found: str, expected: str) -> str | None:
    return None if found == expected else f"check digit is {found}, should be {expected}"
