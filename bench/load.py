"""Requests against the running system, as a shop's back end sends them."""

import asyncio
import secrets
import time
from typing import Any

import aiohttp

Json = dict[str, Any]


class Client:
    """One project of the running system."""

    def __init__(self, session: aiohttp.ClientSession, env: dict[str, str]) -> None:
        self._session = session
        self._url = env["TESSERA_URL"]
        self._headers = {"X-App-Id": env["TESSERA_APP_ID"], "X-App-Token": env["TESSERA_APP_TOKEN"]}

    async def call(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        """Send one request; returns status and body."""
        async with self._session.request(
            method, self._url + path, json=body, headers=self._headers
        ) as response:
            return response.status, await response.json()

    async def must(self, method: str, path: str, body: Json | None = None) -> Json:
        """Send one request that has to succeed."""
        status, answer = await self.call(method, path, body)
        assert status < 300, (method, path, status, answer)
        return answer


def stack(code: str, number: int) -> Json:
    """Return a cart of two lines with one code."""
    return {
        "redeemables": [{"object": "voucher", "id": code}],
        "customer": {"source_id": f"bench-{number % 500}"},
        "order": {
            "source_id": f"bench-{secrets.token_hex(8)}",
            "items": [
                {"source_id": "p1", "related_object": "product", "quantity": 1, "price": 4000},
                {"source_id": "p2", "related_object": "product", "quantity": 2, "price": 1500},
            ],
        },
    }


CODES_PER_LOOK_S = 200_000
"""Of a million codes it is looked every five seconds whether they are there: looking costs, too."""


async def make_codes(client: Client, count: int) -> tuple[str, float]:
    """Create a campaign of codes; returns its id and the codes per second until all are listed."""
    body = {
        "name": f"Bench {secrets.token_hex(4)}",
        "campaign_type": "DISCOUNT_COUPONS",
        "type": "STATIC",
        "vouchers_count": count,
        "voucher": {
            "type": "DISCOUNT_VOUCHER",
            "discount": {"type": "PERCENT", "percent_off": 10, "effect": "APPLY_TO_ORDER"},
            "redemption": {"quantity": None},
            "code_config": {"pattern": "BENCH-##########"},
        },
    }
    started = time.perf_counter()
    campaign = await client.must("POST", "/v1/campaigns", body)
    while True:
        found = await client.must("GET", f"/v1/campaigns/{campaign['id']}")
        if found["vouchers_generation_status"] == "DONE" and found["vouchers_count"] == count:
            listed = await client.must("GET", f"/v1/vouchers?campaign_id={campaign['id']}&limit=1")
            if listed["total"] == count:
                return campaign["id"], count / (time.perf_counter() - started)
        await asyncio.sleep(max(0.1, count / CODES_PER_LOOK_S))


async def one_at_a_time(client: Client, path: str, codes: list[str], rounds: int) -> list[float]:
    """Return the milliseconds of each of ``rounds`` requests, sent one after the other."""
    times = []
    for number in range(rounds + 30):
        body = stack(codes[number % len(codes)], number)
        started = time.perf_counter()
        await client.must("POST", path, body)
        if number >= 30:
            times.append((time.perf_counter() - started) * 1000)
    return times


async def at_saturation(
    client: Client, codes: list[str], callers: int, seconds: float
) -> tuple[float, int]:
    """Return redemptions per second with so many callers, and how many were not answered 200."""
    deadline = time.perf_counter() + seconds
    done = failed = 0

    async def caller(first: int) -> None:
        nonlocal done, failed
        number = first
        while time.perf_counter() < deadline:
            status, _ = await client.call(
                "POST", "/v1/redemptions", stack(codes[number % len(codes)], number)
            )
            if status == 200:
                done += 1
            else:
                failed += 1
            number += callers

    started = time.perf_counter()
    await asyncio.gather(*(caller(first) for first in range(callers)))
    return done / (time.perf_counter() - started), failed
