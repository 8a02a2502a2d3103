"""What was typed into a form, kept as it was typed, with a sentence beside each field that is wrong."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from waypost.errors import CallerError


@dataclass(frozen=True, slots=True)
class Typed:
    """Texts by field and, after a refusal, sentences by field; `problem` is about none of them."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None

    def __getitem__(self, name: str) -> str:
        """Give what stands in a field; empty where nothing does."""
        return self.values.get(name, "")

    def on(self, name: str) -> bool:
        """Whether a check box is ticked."""
        return bool(self.values.get(name))


def typed(pairs: Iterable[tuple[str, Any]]) -> Typed:
    """Give a form as it was sent: `typed((await request.form()).multi_items())`. The last of a name stands."""
    return Typed({name: value.replace("\r\n", "\n") for name, value in pairs if isinstance(value, str)})


def refused(form: Typed, error: CallerError, field_of: Callable[[str], str] | None = None) -> Typed:
    """Give the form with the API's errors beside their fields.

    `field_of` gives the field that a JSON Pointer leads to; without it, `/name` is the field `name` and `/a/b` is `a`.
    What leads to no field that was sent stands above the form.
    """
    placed: dict[str, str] = {}
    elsewhere: list[str] = []
    for one in error.errors:
        name = field_of(one.path) if field_of else one.path.removeprefix("/").partition("/")[0]
        if name in form.values:
            placed.setdefault(name, one.message)
        else:
            elsewhere.append(one.message)
    problem = " ".join(elsewhere) or (None if placed else error.detail)
    return Typed(form.values, placed, problem)
