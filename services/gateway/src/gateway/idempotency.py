"""Keys that clients sent: one key names one request."""

from gateway import queries
from runtime import clock
from runtime.database import Pool


class Idempotency:
    """Claims keys for requests. What was answered is kept by the service that answered."""

    def __init__(self) -> None:
        self.pool: Pool | None = None

    async def claim(self, project_id: str, key: str, fingerprint: str) -> str:
        """Return the fingerprint of the request that the key belongs to: this one, if it is new."""
        assert self.pool is not None, "the gateway has started"
        async with self.pool.acquire() as connection:
            return await queries.claim_key(connection, project_id, key, fingerprint, clock.now())
