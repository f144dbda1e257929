"""Drawing codes that are free: random bytes from the operating system, codes from the domain."""

import secrets
from collections.abc import Sequence
from datetime import datetime

from campaigns import limits, queries
from campaigns.domain.codes import (
    CodePattern,
    bytes_needed,
    distinct,
    draw_codes,
    list_codes,
    pattern_of,
    pick,
)
from contracts import ids
from contracts.errors import JsonObject
from runtime.database import Connection


async def take(
    connection: Connection,
    project_id: str,
    config: JsonObject | None,
    count: int,
    *,
    campaign_id: str | None,
    now: datetime,
    action_id: str | None = None,
) -> list[str]:
    """List up to ``count`` new codes; none when the pattern has no free ones.

    Codes that are taken are drawn again. Where that does not suffice, a small pattern is searched
    through, so that its last code is found too.
    """
    pattern = distinct(project_id, pattern_of(config))
    taken: list[str] = []
    for _ in range(limits.GENERATION_DRAWS_MAX):
        missing = count - len(taken)
        if missing == 0:
            break
        drawn = draw_codes(pattern, secrets.token_bytes(bytes_needed(pattern, missing)), missing)
        taken += await _list(connection, project_id, drawn, campaign_id, action_id, now)
    missing = count - len(taken)
    if missing and pattern.capacity <= limits.PATTERN_LISTED_MAX:
        left = await _left(connection, project_id, pattern)
        picked = pick(left, secrets.randbits(32 + 20 * missing), missing)
        taken += await _list(connection, project_id, picked, campaign_id, action_id, now)
    return taken


async def _list(
    connection: Connection,
    project_id: str,
    codes: Sequence[str],
    campaign_id: str | None,
    action_id: str | None,
    now: datetime,
) -> list[str]:
    return await queries.insert_codes(
        connection, project_id, codes, campaign_id=campaign_id, action_id=action_id, now=now
    )


async def _left(connection: Connection, project_id: str, pattern: CodePattern) -> list[str]:
    listed = list_codes(pattern, limits.PATTERN_LISTED_MAX)
    taken = await queries.taken_codes(connection, project_id, listed)
    known = {ids.canonical_code(project_id, code) for code in taken}
    return [code for code in listed if ids.canonical_code(project_id, code) not in known]
