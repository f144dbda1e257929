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
from runtime.service import Service, Worker
from runtime.unit import Unit

logger = structlog.get_logger()


def generator(codes_per_s_max: int) -> Worker:
    """Return the worker that continues generations for ever, at this pace; 0 is without limit."""

    async def generate_codes(service: Service) -> None:
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            count = await run_slice(service)
            wanted_s = count / codes_per_s_max if codes_per_s_max else 0.0
            pause_s = max(0.0, wanted_s - (loop.time() - started))
            await asyncio.sleep(pause_s if count else limits.GENERATION_IDLE_S)

    return generate_codes


async def run_slice(service: Service) -> int:
    """Make one slice of the project that waited longest; 0 if none is waiting or free.

    Else the number of codes, at least 1: a slice that failed or is to be repeated is work, too.
    """
    async with service.pool.acquire() as connection:
        waiting = await queries.waiting_jobs(connection)
    for job in waiting:
        try:
            made = await _slice(service, job)
        except CONTENTION_ERRORS as error:
            # A command changed the campaign meanwhile: nothing was written, the next try sees it.
            logger.info("slice_repeated", action_id=job.action_id, error=type(error).__name__)
            return 1
        if made is not None:
            return max(1, made)
    return 0


async def _slice(service: Service, waiting: Waiting) -> int | None:
    correlation_id = waiting.correlation_id
    async with service.unit(waiting.project_id, correlation_id=correlation_id) as unit:
        job = await queries.claim_job(unit.connection, waiting)
        if job is None:
            return None
        return await _make_codes(unit, job)


async def _make_codes(unit: Unit, job: queries.Job) -> int:
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
    return len(made)
