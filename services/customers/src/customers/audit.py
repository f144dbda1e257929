"""What must hold besides "every state is the fold of its stream" (runtime's audit)."""

from contracts.customers import Segment
from customers import limits, queries
from customers.domain.segment import wanted
from runtime import bulk, clock
from runtime.database import Connection


async def audit(connection: Connection) -> list[str]:
    """Return what is wrong: segment rows, orders without customers, memberships."""
    found = [
        f"project {project_id}: dynamic_segments has another {segment_id} than the log"
        for project_id, segment_id in await queries.segments_that_differ(connection)
    ]
    found.extend(
        f"project {project_id}: {stream} belongs to {customer_id}, who does not exist"
        for project_id, stream, customer_id in await queries.orders_without_customer(connection)
    )
    # A segment that depends on the time is always due again, so it is never among these.
    by_project: dict[str, list[Segment]] = {}
    for project_id, segment in await queries.swept_segments(connection):
        by_project.setdefault(project_id, []).append(segment)
    for project_id, segments in by_project.items():
        found.extend(await _wrong_memberships(connection, project_id, segments))
    found.extend(await bulk.audit(connection, "customers"))
    return found[: limits.AUDIT_FINDINGS_MAX]


async def _wrong_memberships(
    connection: Connection, project_id: str, segments: list[Segment]
) -> list[str]:
    found: list[str] = []
    now = clock.now()
    after = ""
    while len(found) < limits.AUDIT_FINDINGS_MAX:
        slice_ = await queries.customers_after(
            connection, project_id, after, limits.AUDIT_SLICE_ROWS
        )
        for stream, state in slice_:
            for segment_id, _, is_match in wanted(segments, state.customer, now):
                if is_match != (segment_id in state.segments):
                    should = "should be" if is_match else "should not be"
                    found.append(f"project {project_id}: {stream} {should} in {segment_id}")
        if not slice_:
            break
        after = slice_[-1][0]
    return found
