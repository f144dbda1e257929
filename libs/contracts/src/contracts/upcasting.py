"""Messages of an older version, as they lie in logs and topics, read as the newest one.

The stored text is never changed: the hash chain is over it. Whoever reads a message calls :func:`read`
(or :func:`newest` for its type's name). A new version brings one function here, from the JSON body of
the version before; the old version's class goes, its golden file stays.
"""

from collections.abc import Callable

import orjson

from contracts.errors import JsonObject
from contracts.messages import TYPES, Message

Upcast = Callable[[JsonObject], JsonObject]

UPCASTERS: dict[str, tuple[str, Upcast]] = {}
"""Old type → (the next type, what makes its body). Chains are followed to their end."""


def register(old: str, new: str, upcast: Upcast) -> None:
    """Read ``old`` as ``new`` from now on; ``upcast`` gets a body of its own and may change it."""
    name, _, version = old.rpartition(".v")
    assert new == f"{name}.v{int(version) + 1}", f"{old} is followed by its next version, not {new}"
    assert old not in UPCASTERS, f"{old} has an upcaster already"
    assert old not in TYPES, f"{old} still has a class of its own"
    UPCASTERS[old] = (new, upcast)


def newest(type_name: str) -> str:
    """Return the type that messages of ``type_name`` are read as."""
    while type_name in UPCASTERS:
        type_name = UPCASTERS[type_name][0]
    return type_name


def newest_body(type_name: str, data: bytes | str) -> bytes | str:
    """Return the JSON body of the newest version; unchanged text if ``type_name`` is the newest.

    Raises ``ValueError`` if the body is not what its type says.
    """
    if type_name not in UPCASTERS:
        return data
    body = orjson.loads(data)
    while type_name in UPCASTERS:
        new, upcast = UPCASTERS[type_name]
        try:
            body = upcast(body)
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            message = f"{type_name}: the body cannot be read as {new}: {error!r}"
            raise ValueError(message) from error
        type_name = new
    return orjson.dumps(body)


def read(type_name: str, data: bytes | str) -> Message:
    """Return the message as its newest class; raises ``KeyError`` for a type nobody knows."""
    return TYPES[newest(type_name)].from_json(newest_body(type_name, data))
