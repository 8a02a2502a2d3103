"""The id of an event in a path: ours, or one that a sender gave an event of its own."""

import re

from waypost.api.call import Call
from waypost.errors import NotFound
from waypost.events.own_types import ID_LENGTH_MAX

_FORM = re.compile(r"[A-Za-z0-9._:-]+")


def event_id_of(call: Call, name: str = "id") -> str:
    """Give the event's id in the path. One that cannot be an id is unknown: no store is asked."""
    text = call.path_text(name)
    if len(text) <= ID_LENGTH_MAX and _FORM.fullmatch(text):
        return text
    raise NotFound("There is no event with this id here.")
