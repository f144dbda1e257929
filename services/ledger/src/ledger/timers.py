"""Holds whose time is up are rows with a due time; this looks for them.

Every process looks; rows that another one is releasing are skipped, so the work is shared, also while
Kafka, which gives out partitions, cannot be reached.
"""

import asyncio
from datetime import datetime

from contracts.messages import Envelope
from ledger import book, limits, queries
from ledger.domain.holds import release
from runtime import clock, ids
from runtime.service import Service
from runtime.unit import Batch, Unit


async def expire_holds(service: Service) -> None:
    """Release what is due, for ever."""
    poll_s = getattr(service.settings, "hold_expiry_poll_s", 0.25)
    while True:
        if not await expire_due_holds(service, clock.now()):
            await asyncio.sleep(poll_s)


async def expire_due_holds(service: Service, now: datetime) -> int:
    """Release the holds that are due at ``now``, one transaction; returns how many."""
    async with service.pool.acquire() as connection, connection.transaction():
        due = await queries.due_holds(connection, now, limits.EXPIRED_HOLDS_MAX)
        if not due:
            return 0
        held = book.Batch()
        accounts = await book.lock_sessions(connection, held, due)
        await book.read_accounts(connection, held, accounts)
        staged = Batch(connection, service.name, service.settings.event_partitions, now, held)
        for project_id, session_key in sorted(due):
            _expire(staged, held, project_id, session_key)
        await book.flush(connection, held)
        await staged.write()
    service.wake_relay()
    return len(due)


def _expire(staged: Batch, held: book.Batch, project_id: str, session_key: str) -> None:
    envelope = Envelope(ids.new_id("job"), "", staged.service, staged.now, project_id)
    unit = Unit(staged, envelope)
    going = held.holds[project_id, session_key].postings
    event, changed = release(session_key, going, [], held.of(project_id), staged.now, "expired")
    held.change(project_id, changed)
    held.stage_hold(unit, event)
    unit.keep()
