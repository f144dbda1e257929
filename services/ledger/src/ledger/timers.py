"""Holds whose time is up are rows with a due time; this looks for them."""

import asyncio
from datetime import datetime

from ledger import book, limits, queries
from ledger.domain.holds import release
from runtime import clock
from runtime.service import Service


async def expire_holds(service: Service) -> None:
    """Release what is due, for ever."""
    poll_s = getattr(service.settings, "hold_expiry_poll_s", 1.0)
    while True:
        if not await expire_due_holds(service, clock.now()):
            await asyncio.sleep(poll_s)


async def expire_due_holds(service: Service, now: datetime) -> int:
    """Release the holds that are due at ``now``; returns how many."""
    async with service.pool.acquire() as connection:
        due = await queries.due_holds(connection, now, limits.EXPIRED_HOLDS_MAX)
    for project_id, session_key in due:
        await _expire(service, project_id, session_key, now)
    return len(due)


async def _expire(service: Service, project_id: str, session_key: str, now: datetime) -> None:
    async with service.unit(project_id) as unit:
        key = (project_id, session_key)
        batch = book.Batch(holds=await queries.lock_holds(unit.connection, {key}))
        hold = batch.holds.get(key)
        if hold is None or not hold.postings or hold.expires_at is None or hold.expires_at > now:
            return  # another process was faster, or the session was renewed
        names = {(project_id, posting.account) for posting in hold.postings}
        await book.read_accounts(unit.connection, batch, names)
        event, changed = release(
            session_key, hold.postings, [], batch.of(project_id), now, "expired"
        )
        batch.change(project_id, changed)
        batch.stage_hold(unit, event)
        await book.flush(unit.connection, batch)
