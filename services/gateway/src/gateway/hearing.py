"""Commands to distribution about codes and campaigns, of which it hears by events, as this gateway does.

What is new may be known here and not yet there. Then it is asked again, instead of telling the caller that
there is no such thing.
"""

import asyncio
from collections.abc import Sequence

from contracts.errors import JsonObject, NotFound, Unavailable
from contracts.messages import Command
from gateway import queries
from gateway.http import ApiError, Call

POLL_S = 0.1


async def command(
    call: Call,
    key: str,
    message: Command,
    *,
    voucher: str | None,
    campaign: str | None,
    remember: Sequence[str] = (),
) -> JsonObject:
    """Send a command that names a code or a campaign; raises ``Unavailable`` if that is not heard of."""
    clock = asyncio.get_running_loop()
    deadline = clock.time() + call.gateway.service.settings.projection_wait_s
    while True:
        try:
            return await call.command("distribution", key, message, remember=remember)
        except ApiError as error:
            refused = error.error
            is_of_it = refused.key == NotFound.key and refused.resource_id == (voucher or campaign)
            if not is_of_it or not await _is_known(call, voucher, campaign):
                raise
        if clock.time() > deadline:
            raise Unavailable("what was just written is not yet known to all")
        await asyncio.sleep(POLL_S)


async def _is_known(call: Call, voucher: str | None, campaign: str | None) -> bool:
    await call.fresh()
    async with call.gateway.connection() as connection:
        if voucher is not None:
            return await queries.voucher(connection, call.project_id, voucher) is not None
        named = campaign or ""
        return await queries.campaign(connection, call.project_id, named) is not None
