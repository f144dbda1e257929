"""Which thing a ``POST`` means: the one that it names by ``id``, or by ``source_id``, or a new one."""

from collections.abc import Callable
from typing import NamedTuple

from contracts.errors import JsonObject
from gateway.http import Call


class Target(NamedTuple):
    """The id of what is created or changed, and the changes without it."""

    id: str
    changes: JsonObject
    must_exist: bool
    """An ``id`` is Tessera's own: it names what is there already."""


def target(call: Call, prefix: str, derive: Callable[[str, str], str]) -> Target:
    """Return what the body of a ``POST`` means; where both names are sent, the ``id`` counts."""
    changes = {name: value for name, value in call.body.items() if name != "id"}
    if call.body.get("id") is not None:
        return Target(call.body["id"], changes, must_exist=True)
    source_id = changes.get("source_id")
    found = derive(call.project_id, source_id) if source_id else call.new_id(prefix)
    return Target(found, changes, must_exist=False)
