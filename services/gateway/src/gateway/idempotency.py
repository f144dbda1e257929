"""Keys that clients sent: one key names one request, and has one answer."""

from typing import NamedTuple

from contracts.errors import IdempotencyKeyReused
from gateway import limits, queries
from runtime import clock
from runtime.database import Pool


class Kept(NamedTuple):
    """An answer that was given before."""

    status: int
    content: bytes


class Idempotency:
    """Claims keys for requests, and keeps answers that no service keeps."""

    def __init__(self) -> None:
        self.pool: Pool | None = None

    async def claim(self, owner: str, key: str, fingerprint: str) -> Kept | None:
        """Claim the key for a request; returns its earlier answer, if one was kept.

        Raises ``IdempotencyKeyReused`` when the key belongs to another request.
        """
        assert self.pool is not None, "the gateway has started"
        async with self.pool.acquire() as connection:
            row = await queries.claim_key(connection, owner, key, fingerprint, clock.now())
        if row["fingerprint"] != fingerprint:
            raise IdempotencyKeyReused
        return None if row["status"] is None else Kept(row["status"], row["answer"])

    async def keep(self, owner: str, key: str, status: int, content: bytes) -> None:
        """Keep the answer; a very large one is made again when it is asked for."""
        assert self.pool is not None, "the gateway has started"
        if len(content) > limits.KEPT_ANSWER_BYTES_MAX:
            return
        async with self.pool.acquire() as connection:
            await queries.keep_answer(connection, owner, key, status, content)
