"""What a redemption costs in a project with very many vouchers, beside one with ten thousand.

``python -m bench millions [count]``: the vouchers are made as a merchant makes them, by campaigns through the
API, so that log, replica, list and read models hold them all. Redemptions of both projects then take turns.
"""

import asyncio
import statistics
import time
from typing import Any, NamedTuple

import aiohttp

from bench.campaigns import project
from bench.load import Client, at_saturation, make_codes, one_at_a_time

FEW, MANY = 10_000, 1_000_000
PER_CAMPAIGN = 1_000_000
ROUNDS = 300
TURNS = 3
CALLERS, SECONDS = 64, 10.0


class Cost(NamedTuple):
    """Medians of milliseconds one at a time, and redemptions per second, with few and with many."""

    few_ms: float
    many_ms: float
    few_s: float
    many_s: float
    made_s: float


async def measure(session: aiohttp.ClientSession, env: dict[str, str], count: int = MANY) -> Cost:
    """Make the two projects, and redeem in them by turns."""
    small, large = await project(session, env), await project(session, env)
    few = await _codes(small, (await make_codes(small, FEW))[0])
    started = time.perf_counter()
    made = await asyncio.gather(
        *(make_codes(large, min(PER_CAMPAIGN, count - n)) for n in range(0, count, PER_CAMPAIGN))
    )
    took_s = time.perf_counter() - started
    print(f"{count} vouchers made and searchable in {took_s:.0f} s", flush=True)
    many = [code for campaign, _ in made for code in await _codes(large, campaign)]
    times: dict[Client, list[float]] = {small: [], large: []}
    rates: dict[Client, list[float]] = {small: [], large: []}
    for _ in range(TURNS):
        for client, codes in ((small, few), (large, many)):
            times[client] += await one_at_a_time(client, "/v1/redemptions", codes, ROUNDS // TURNS)
        for client, codes in ((small, few), (large, many)):
            rate, failed = await at_saturation(client, codes, CALLERS, SECONDS)
            assert failed == 0, f"{failed} redemptions were not answered 200"
            rates[client].append(rate)
            await asyncio.sleep(1)
    return Cost(
        statistics.median(times[small]),
        statistics.median(times[large]),
        statistics.median(rates[small]),
        statistics.median(rates[large]),
        count / took_s,
    )


async def _codes(client: Client, campaign: str) -> list[str]:
    listed: Any = await client.must("GET", f"/v1/vouchers?campaign_id={campaign}&limit=100")
    return [voucher["code"] for voucher in listed["vouchers"]]
