"""A segment: a fixed list of customers, or a filter."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from contracts import ids
from contracts.customers import CreateSegment, Customer, Segment, SegmentCreated
from contracts.errors import InvalidPayload, JsonObject
from contracts.filters import check_filter, matches
from contracts.payload import list_of, refuse, text
from customers import limits
from customers.domain.customer import SOURCE_ID

_CUSTOMER_ID = re.compile(r"cust_[0-9A-Za-z]{24}")
_NAME = text(limits.NAME_LENGTH_MAX, pattern=r"(?s).+", meaning="a non-empty string")
_RELATIVE = re.compile(r"_ago|_future|days|today|tomorrow|yesterday|this_|last_|next_")


def decide_create_segment(
    state: Segment | None,
    project_id: str,
    command: CreateSegment,
    now: datetime,
    dynamic_count: int,
) -> Sequence[SegmentCreated]:
    """Return the new segment; nothing if the same command was already handled."""
    if state is not None:
        return []
    name = _NAME("name", command.name)
    if command.type == "static":
        listed = list_of(SOURCE_ID, limits.SEGMENT_CUSTOMERS_MAX)("customers", command.customers)
        customer_ids = list(dict.fromkeys(customer_id_of(project_id, one) for one in listed))
        segment = Segment(
            id=command.segment_id,
            name=name,
            type=command.type,
            customer_ids=customer_ids,
            created_at=now,
        )
        return [SegmentCreated(segment=segment)]
    if command.filter is None:
        raise refuse("filter", "must be set")
    check_filter(command.filter)
    if dynamic_count >= limits.DYNAMIC_SEGMENTS_MAX:
        most = limits.DYNAMIC_SEGMENTS_MAX
        raise InvalidPayload(
            f"type: a project has at most {most} segments with a filter", prop="type"
        )
    segment = Segment(
        id=command.segment_id,
        name=name,
        type=command.type,
        filter=command.filter,
        created_at=now,
    )
    return [SegmentCreated(segment=segment)]


def evolve(state: Segment | None, event: SegmentCreated) -> Segment:
    """Return the segment after the event."""
    assert state is None, "a segment is created once"
    return event.segment


def customer_id_of(project_id: str, name: str) -> str:
    """Return the id of the customer that is named by id or by source id."""
    return name if _CUSTOMER_ID.fullmatch(name) else ids.customer_id(project_id, name)


def wanted(
    segments: Iterable[Segment], customer: Customer, now: datetime
) -> list[tuple[str, str, bool]]:
    """Say of each auto-update segment whether the customer belongs to it now."""
    body = customer.model_dump(mode="json")
    return [
        (segment.id, segment.name, matches(segment.filter or {}, body, now))
        for segment in segments
        if segment.type == "auto-update"
    ]


def depends_on_time(segment_filter: JsonObject) -> bool:
    """Say whether a customer may enter or leave by the mere passing of time."""
    return any(
        _RELATIVE.search(operator) is not None
        for condition in segment_filter.values()
        if isinstance(condition, dict) and isinstance(condition.get("conditions"), dict)
        for operator in condition["conditions"]
    )
