"""Trying again the triggers whose campaign has yet to make a code."""

import asyncio

import structlog

from contracts.customers import CustomEventRecorded
from distribution import limits, queries
from distribution.triggers import DISTRIBUTION, pull
from runtime import clock
from runtime.database import CONTENTION_ERRORS
from runtime.service import Service

logger = structlog.get_logger()


async def retry_waiting(service: Service) -> None:
    """Look for triggers that are due, for ever."""
    while True:
        if not await retry_once(service):
            await asyncio.sleep(limits.WAITING_POLL_S)


async def retry_once(service: Service) -> int:
    """Try what is due; returns how many were tried."""
    async with service.pool.acquire() as connection:
        due = await queries.due_waiting(connection, clock.now(), limits.WAITING_SLICE)
    for waiting in due:
        try:
            async with service.unit(
                waiting.project_id, correlation_id=waiting.correlation_id
            ) as unit:
                if not await queries.take_waiting(unit.connection, waiting):
                    continue
                distribution = await unit.load(DISTRIBUTION, waiting.distribution_id)
                assert distribution is not None, "a trigger belongs to a distribution"
                event = CustomEventRecorded.model_validate(waiting.event)
                await pull(unit, distribution, event, waiting.attempts)
        except CONTENTION_ERRORS as error:
            logger.info("trigger_retried", error=repr(error))
    return len(due)
