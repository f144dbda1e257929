"""From an event to its webhook: how long after the redemption a shop's server has been told of it."""

import asyncio
import json
import statistics
from typing import Any

import aiohttp
import asyncpg
from aiohttp import web

from bench.load import Client, stack
from runtime import clock

WAIT_S = 60.0


class Shop:
    """A server that notes when it is told of which redemption."""

    def __init__(self) -> None:
        self.told: dict[str, float] = {}
        self._news = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        """Note what has come."""
        at = clock.now().timestamp()
        body = json.loads(await request.read())
        redemption = body["data"]["redemption"]["id"]
        self.told.setdefault(redemption, at)
        self._news.set()
        return web.Response()

    async def until_told(self, redemption: str) -> float:
        """Return when it was told."""
        async with asyncio.timeout(WAIT_S):
            while redemption not in self.told:
                self._news.clear()
                await self._news.wait()
        return self.told[redemption]


async def measure(
    session: aiohttp.ClientSession, env: dict[str, str], client: Client, code: str, rounds: int
) -> list[float]:
    """Return the milliseconds of each of ``rounds`` events, one at a time on an idle system."""
    shop = Shop()
    application = web.Application()
    application.router.add_post("/hooks", shop.take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    remove = await _subscribe(session, env, f"http://127.0.0.1:{runner.addresses[0][1]}/hooks")
    try:
        return await _times(env, client, code, shop, rounds)
    finally:
        await remove()
        await runner.cleanup()


async def _subscribe(session: aiohttp.ClientSession, env: dict[str, str], target: str) -> Any:
    headers = {
        "X-Management-Id": env["TESSERA_MANAGEMENT_ID"],
        "X-Management-Token": env["TESSERA_MANAGEMENT_TOKEN"],
    }
    path = f"{env['TESSERA_URL']}/management/v1/projects/{env['TESSERA_PROJECT_ID']}/webhooks"
    body = {"target_url": target, "events": ["redemption.succeeded"]}
    async with session.post(path, json=body, headers=headers) as response:
        assert response.status < 300, await response.text()
        made = (await response.json())["id"]

    async def remove() -> None:
        async with session.delete(f"{path}/{made}", headers=headers) as response:
            assert response.status < 300, await response.text()

    return remove


async def _times(
    env: dict[str, str], client: Client, code: str, shop: Shop, rounds: int
) -> list[float]:
    told = {}
    for number in range(rounds + 10):
        made = await client.must("POST", "/v1/redemptions", stack(code, number))
        redemption = made["redemptions"][0]["id"]
        told[redemption] = await shop.until_told(redemption)
    connection = await asyncpg.connect(env["DATABASE_URL"])
    rows = await connection.fetch(
        "SELECT stream_id, occurred_at FROM ledger.events WHERE stream_id = ANY($1)",
        [f"redemption-{name}" for name in told],
    )
    await connection.close()
    happened = {row["stream_id"].removeprefix("redemption-"): row["occurred_at"] for row in rows}
    times = [(at - happened[name].timestamp()) * 1000 for name, at in told.items()]
    return times[10:]


def at(times: list[float], percent: int) -> float:
    """Return a percentile."""
    return statistics.quantiles(times, n=100)[percent - 1]
