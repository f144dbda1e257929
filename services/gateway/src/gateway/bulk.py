"""Starting asynchronous changes of many things: the elements go to their owner in parts."""

import asyncio
from collections.abc import Iterator, Sequence

import orjson

from contracts.bulk import BulkElement, BulkPart
from contracts.errors import JsonObject
from contracts.limits import BULK_PART_ELEMENTS_MAX
from gateway import limits
from gateway.http import Call, HttpError
from gateway.imports import Columns, read_csv


async def start(
    call: Call, service: str, command: type[BulkPart], kind: str, elements: Sequence[BulkElement]
) -> JsonObject:
    """Send all parts; the action begins with the last. A repeated request is the same action."""
    action_id = call.new_id("aa")
    key = action_id
    parts = list(_parts(elements))
    for number, part in enumerate(parts):
        message = command(
            action_id=action_id,
            kind=kind,
            part=number,
            is_last=number == len(parts) - 1,
            elements=part,
        )
        # The first answer of a repeated request names the action that the first request began.
        action_id = (await call.command(service, key, message))["async_action_id"]
    call.remember(service, [f"action/{action_id}"])
    return {"async_action_id": action_id}


async def start_import(
    call: Call, service: str, command: type[BulkPart], kind: str, columns: Columns
) -> JsonObject:
    """Read the uploaded file beside the loop, and send its lines."""
    elements = await asyncio.to_thread(read_csv, call.body["file"], columns, "source_id")
    return await start(call, service, command, kind, elements)


def bodies(listed: Sequence[JsonObject]) -> list[BulkElement]:
    """Return elements that stand in no file."""
    return [BulkElement(body=one) for one in listed]


def _parts(elements: Sequence[BulkElement]) -> Iterator[list[BulkElement]]:
    part: list[BulkElement] = []
    size = total = 0
    for one in elements:
        bytes_ = len(orjson.dumps(one.body))
        total += bytes_
        if total > limits.BULK_BYTES_MAX:
            told = f"All changes together have more than {limits.BULK_BYTES_MAX} bytes"
            raise HttpError(413, "payload_too_large", "Payload too large", told)
        is_full = size + bytes_ > limits.BULK_PART_BYTES_MAX
        if part and (is_full or len(part) == BULK_PART_ELEMENTS_MAX):
            yield part
            part, size = [], 0
        part.append(one)
        size += bytes_
    yield part
