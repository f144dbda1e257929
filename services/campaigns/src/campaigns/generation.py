"""Generates the codes of campaigns in slices, each a transaction: codes, events, progress.

Killed anywhere, it goes on where the last commit left it. Any number of workers may run.
"""

import asyncio

import structlog

from campaigns import codes, limits, queries
from campaigns.domain.campaign import decide_slice
from campaigns.handlers import CAMPAIGN
from campaigns.queries import Waiting
from runtime.database import CONTENTION_ERRORS
from runtime.service import Service
from runtime.unit import Unit

logger = structlog.get_logger()


async def generate_codes(service: Service) -> None:
    """Continue generations for ever; waits a moment when there is nothing to do."""
    while True:
        has_worked = await run_slice(service)
        await asyncio.sleep(0 if has_worked else limits.GENERATION_IDLE_S)


async def run_slice(service: Service) -> bool:
    """Make one slice of the project that waited longest; False if none is waiting or free."""
    async with service.pool.acquire() as connection:
        waiting = await queries.waiting_jobs(connection)
    for job in waiting:
        try:
            if await _slice(service, job):
                return True
        except CONTENTION_ERRORS as error:
            # A command changed the campaign meanwhile: nothing was written, the next try sees it.
            logger.info("slice_repeated", action_id=job.action_id, error=type(error).__name__)
            return True
    return False


async def _slice(service: Service, waiting: Waiting) -> bool:
    correlation_id = waiting.correlation_id
    async with service.unit(waiting.project_id, correlation_id=correlation_id) as unit:
        job = await queries.claim_job(unit.connection, waiting)
        if job is None:
            return False
        await _make_codes(unit, job)
    return True


async def _make_codes(unit: Unit, job: queries.Job) -> None:
    wanted = min(limits.GENERATION_SLICE_CODES, job.total - job.done)
    made = await codes.take(
        unit.connection,
        unit.project_id,
        job.code_config,
        wanted,
        campaign_id=job.campaign_id,
        now=unit.now,
        action_id=job.action_id,
    )
    await queries.end_slice(unit.connection, job, len(made))
    if made:
        await queries.count_codes(unit.connection, unit.project_id, job.campaign_id, len(made))
    # Loaded last, so that commands on the campaign seldom come in between.
    state = await unit.load(CAMPAIGN, job.campaign_id)
    assert state is not None, f"campaign {job.campaign_id} generates codes and has no events"
    events = decide_slice(state, job.action_id, made, job.definition, unit.now)
    unit.append(CAMPAIGN, job.campaign_id, *events)
