"""What products and SKUs have in common: how they are read, and what identifies them."""

from typing import Any, Protocol

from catalog import limits
from contracts.errors import JsonObject
from contracts.payload import (
    Fields,
    Reader,
    merge_metadata,
    metadata,
    optional,
    read,
    refuse,
    text,
    whole_number,
)

ID: Reader = text(
    limits.ID_LENGTH_MAX,
    pattern=r"[A-Za-z0-9_.-]+",
    meaning="of letters, digits and _ . -",
)
NAME: Reader = optional(text(limits.NAME_LENGTH_MAX))
PRICE: Reader = optional(whole_number(0, limits.PRICE_MINOR_MAX))
URL: Reader = optional(
    text(
        limits.URL_LENGTH_MAX,
        pattern=r"https?://\S+",
        meaning="an http or https address",
    )
)
SOURCE_ID: Reader = optional(
    text(limits.SOURCE_ID_LENGTH_MAX, pattern=r"(?s).+", meaning="a non-empty string")
)
METADATA: Reader = metadata


class Known(Protocol):
    """What product and SKU both have."""

    @property
    def source_id(self) -> str | None:
        """What upstream calls it."""

    @property
    def metadata(self) -> JsonObject:
        """The merchant's own fields."""


def read_changes(
    state: Known | None,
    changes: JsonObject,
    fields: Fields,
    *,
    own_id: str,
    id_of_source: str | None,
    path: str = "",
) -> dict[str, Any]:
    """Return the fields to set; refuses what is malformed and a ``source_id`` that would move.

    ``id_of_source`` is the id that follows from ``changes["source_id"]``, None if none was sent.
    """
    values = read(changes, fields, path)
    if "metadata" in values:
        stored = state.metadata if state is not None else {}
        inner = f"{path}.metadata" if path else "metadata"
        values["metadata"] = merge_metadata(stored, values["metadata"], inner)
    if state is None:
        ID("id", own_id)
    source_id = values.pop("source_id", None)
    if source_id is None:
        return values
    name = f"{path}.source_id" if path else "source_id"
    if state is not None and source_id != state.source_id:
        raise refuse(name, "must not change")
    if state is None and own_id != id_of_source:
        raise refuse(name, f"must be sent without an id: this one names {id_of_source}")
    return {**values, "source_id": source_id}
