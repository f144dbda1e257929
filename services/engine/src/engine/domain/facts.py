"""What a rule may ask about: gathered before, so that rules do no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from contracts.errors import JsonObject
from engine.domain.order import Cart


class Segment(NamedTuple):
    """A segment as the replica has it; ``customer_ids`` of a static one."""

    id: str
    filter: JsonObject | None
    customer_ids: frozenset[str]


class Published(NamedTuple):
    """What formulas may ask of a code's publications: how many, and the metadata of the one that counts."""

    times: int = 0
    metadata: JsonObject | None = None


class Spent(NamedTuple):
    """What a redeemable takes, known only after pricing."""

    credits: int | None = None
    points: int | None = None


@dataclass(slots=True)
class Facts:
    """The request as a rule sees it. ``now`` is in the project's time zone."""

    now: datetime
    cart: Cart | None
    customer: JsonObject | None
    segments: Mapping[str, Segment]
    metadata: JsonObject
    api_key_id: str | None = None
    is_initial_base: bool = False
    """Percentages are of what the order was worth before any discount, not of what is left."""
    closed_lines: frozenset[int] = frozenset()
    """Lines that an earlier redeemable has discounted, where each product may be once."""
    event_metadata: JsonObject = field(default_factory=dict)
    """Of the custom event that is judged; redemptions have none."""
    redeemable_id: str | None = None
    """The code that is judged right now."""
    holders: frozenset[tuple[str | None, str | None]] = frozenset()
    """(code, customer) for those codes that were published to the request's customer."""
    first_day_of_week: int = 0
    """Counted from Monday."""
    publications: Mapping[str, Published] = field(default_factory=dict)
    """By the code's id, of those whose formulas ask."""
    known: dict[Any, Any] = field(default_factory=dict)
    """What is the same for the whole request, found out once: what tests said, which lines a code names."""
