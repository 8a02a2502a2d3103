"""Decimal numbers as text: kept as written, compared by value.

Binary floating point would turn 0.1 kg into something else, so a weight or an amount of money stays text from the
sender's document to the receiver's. Only when two versions are compared do the texts become numbers.
"""

import re
from decimal import Decimal

DIGITS_MAX = 60  # no weight or amount needs more; a number of 100,000 digits is an attack
_PLAIN = re.compile(r"-?[0-9]+(?:\.[0-9]+)?\Z", re.ASCII)


def decimal_problem(text: str) -> str | None:
    """Say what is wrong with `text` as a decimal number; None means that it is one."""
    if len(text) > DIGITS_MAX:
        return f"has more than {DIGITS_MAX} digits" if _PLAIN.match(text) else _not_a_number(text)
    return None if _PLAIN.match(text) else _not_a_number(text)


def measure_problem(text: str) -> str | None:
    """Say what is wrong with `text` as a measure: a decimal number that is not negative."""
    problem = decimal_problem(text)
    if problem is None and text.startswith("-") and Decimal(text) != 0:
        return f"is {text}, should not be negative"
    return problem


def from_json_number(token: str) -> str | None:
    """Write a JSON number as the decimal text of the same value, digit by digit; None when it is too long.

    `token` is the number as it stands in the body, so no digit is lost: `1.50` stays `1.50`, `15e-1` becomes `1.5`.
    """
    if len(token) > DIGITS_MAX:
        return None
    if "e" not in token and "E" not in token:
        return token
    # The exponent alone decides how long the text would become: look at it before writing it out.
    if abs(int(token.lower().partition("e")[2])) > DIGITS_MAX:
        return None
    text = format(Decimal(token), "f")
    return text if len(text) <= DIGITS_MAX else None


def decimal_of(token: str) -> Decimal | None:
    """Give the value of a JSON number; None when it is too long, or no number at all, as the float infinity."""
    text = from_json_number(token)
    return Decimal(text) if text is not None and _PLAIN.match(text) else None


def same_number(one: str, other: str) -> bool:
    """Tell whether two decimal texts have the same value: `10.0` equals `10`."""
    return one == other or Decimal(one) == Decimal(other)


def _not_a_number(text: str) -> str:
    return f"{text[:40]!r} is not a decimal number; write it like 12.50"
