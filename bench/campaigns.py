"""What many live campaigns cost: a validation that names a code of its own, and a qualification."""

import asyncio
import secrets
import time
from typing import Any, NamedTuple

import aiohttp

from bench.load import Client, stack

FEW, SOME, MANY = 100, 1_000, 10_000
RULES = 20
CREATORS = 32
Json = dict[str, Any]


class Times(NamedTuple):
    """Milliseconds of each request."""

    qualification: list[float]
    """Over ``SOME`` campaigns, half of which apply."""
    few: list[float]
    """Validations in a project with ``FEW`` campaigns."""
    many: list[float]
    """The same with ``MANY``."""


async def measure(session: aiohttp.ClientSession, env: dict[str, str], rounds: int) -> Times:
    """Make two projects, and ask them by turns."""
    small, large = await project(session, env), await project(session, env)
    await _campaigns(small, FEW)
    await _campaigns(large, SOME)
    qualification = await _times(large, "/v1/qualifications", [_cart()] * rounds)
    await _campaigns(large, MANY - SOME)
    times: dict[Client, list[float]] = {small: [], large: []}
    codes = {client: await _code(client) for client in times}
    for number in range(rounds):
        for client, taken in times.items():
            body = stack(codes[client], number)
            taken.extend(await _times(client, "/v1/validations", [body], warm_up=0))
    return Times(qualification, times[small], times[large])


async def project(session: aiohttp.ClientSession, env: dict[str, str]) -> Client:
    """Make a project; returns a client with its server key."""
    headers = {
        "X-Management-Id": env["TESSERA_MANAGEMENT_ID"],
        "X-Management-Token": env["TESSERA_MANAGEMENT_TOKEN"],
    }
    body = {
        "name": f"Bench {secrets.token_hex(4)}",
        "timezone": "Europe/Berlin",
        "currency": "EUR",
        "rate_per_minute": 1_000_000,
    }
    path = env["TESSERA_URL"] + "/management/v1/projects"
    async with session.post(path, json=body, headers=headers) as response:
        assert response.status < 300, await response.text()
        key = (await response.json())["server_side_key"]
    keys = {"TESSERA_APP_ID": key["app_id"], "TESSERA_APP_TOKEN": key["app_token"]}
    return Client(session, {**env, **keys})


async def _campaigns(client: Client, count: int) -> None:
    """Make promotions of one tier each; the rules of every other one do not hold for the cart."""
    rules = [await _rule(client, number) for number in range(RULES)]
    todo = iter(range(count))

    async def creator() -> None:
        for number in todo:
            discount = {
                "type": "PERCENT",
                "percent_off": 1 + number % 40,
                "effect": "APPLY_TO_ORDER",
            }
            tier = {
                "name": f"Tier {number}",
                "action": {"discount": discount},
                "validation_rules": [rules[number % RULES]],
            }
            body = {
                "name": f"Live {number} {secrets.token_hex(4)}",
                "campaign_type": "PROMOTION",
                "promotion": {"tiers": [tier]},
            }
            await client.must("POST", "/v1/campaigns", body)

    await asyncio.gather(*(creator() for _ in range(CREATORS)))


async def _rule(client: Client, number: int) -> str:
    least = 1_000 if number % 2 else 1_000_000
    rules = {
        "1": {"name": "order.amount", "conditions": {"$more_than": [least + number]}},
        "2": {"name": "order.items.count", "conditions": {"$more_than": [0]}},
        "logic": "1 and 2",
    }
    made = await client.must(
        "POST", "/v1/validation-rules", {"name": f"R {number}", "rules": rules}
    )
    return str(made["id"])


async def _code(client: Client) -> str:
    discount = {"type": "PERCENT", "percent_off": 10, "effect": "APPLY_TO_ORDER"}
    body = {"type": "DISCOUNT_VOUCHER", "discount": discount}
    return str((await client.must("POST", "/v1/vouchers", body))["code"])


def _cart() -> Json:
    sent = stack("", 1)
    return {
        "scenario": "ALL",
        "customer": sent["customer"],
        "order": sent["order"],
        "options": {"limit": 10},
    }


async def _times(client: Client, path: str, bodies: list[Json], warm_up: int = 10) -> list[float]:
    times = []
    for body in [*bodies[:warm_up], *bodies]:
        started = time.perf_counter()
        await client.must("POST", path, body)
        times.append((time.perf_counter() - started) * 1000)
    return times[min(warm_up, len(bodies)) :]
