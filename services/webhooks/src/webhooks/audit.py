"""What must hold besides "every state is the fold of its stream" (runtime's audit)."""

from runtime.database import Connection
from webhooks import limits, queries


async def audit(connection: Connection) -> list[str]:
    """Return what is wrong: deliveries against their attempts and streams, endpoints' rows."""
    found = await queries.inconsistent_deliveries(connection, limits.AUDIT_FINDINGS_MAX)
    found += await queries.endpoints_that_differ(connection, limits.AUDIT_FINDINGS_MAX)
    return found
