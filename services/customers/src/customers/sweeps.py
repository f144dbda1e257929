"""The timer of segments: when all customers of a project are evaluated.

After a segment was made, and hourly where its filter depends on the time; slice by slice, each slice
a transaction of its own. Rows with a due time are the timer; any number of processes share them.
"""

import asyncio

import structlog

from customers import limits, queries
from customers.handlers import next_sweep, sweep_slice
from runtime import clock
from runtime.database import CONTENTION_ERRORS
from runtime.service import Service

logger = structlog.get_logger()


async def sweep_segments(service: Service) -> None:
    """Evaluate what is due, for ever."""
    while True:
        try:
            has_worked = await sweep_once(service)
        except CONTENTION_ERRORS:
            # A customer changed in the middle of the slice; the next look sees the change.
            has_worked = True
        if not has_worked:
            await asyncio.sleep(limits.SWEEP_POLL_S)


async def sweep_once(service: Service) -> bool:
    """Evaluate one slice of one due segment; returns whether there was one."""
    async with service.pool.acquire() as connection:
        due = await queries.next_due(connection, clock.now())
    if due is None:
        return False
    project_id, segment_id = due
    async with service.unit(project_id) as unit:
        taken = await queries.take_due(unit.connection, project_id, segment_id, unit.now)
        if taken is None:
            return False
        after = await sweep_slice(unit, taken.segment, taken.after)
        due_at = unit.now if after is not None else next_sweep(taken.segment, unit)
        await queries.save_sweep(unit.connection, project_id, segment_id, after or "", due_at)
    logger.info("segment_swept", segment=segment_id, project=project_id, is_done=after is None)
    return True
