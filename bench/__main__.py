"""Measure the running system beside its references; print a table, write ``.local/bench.json``."""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from bench import (
    campaigns,
    footprint,
    hops,
    ledger_alone,
    load,
    machine,
    millions,
    pricing,
    rebuild,
    soak,
    webhook,
)
from demo.shop import read_env
from runtime.settings import Settings

OUTPUT = Path(__file__).parent.parent / ".local" / "bench.json"
CODES = 20_000
ROUNDS = 400
CALLERS = 128
SECONDS = 15.0
CROWD_ROUNDS = 200
WEBHOOK_ROUNDS = 200
SOAK_MINUTES = 30.0
USAGE = (
    "python -m bench [pricing | rebuild | webhook | footprint | millions [count] | soak [minutes]]"
)


async def main() -> int:
    """Run every measure once."""
    env = read_env()
    if sys.argv[1:] == ["pricing"]:
        print(f"Machine: {machine.describe()}")
        _print(_pricing(pricing.measure()))
        return 0
    if "TESSERA_URL" not in env:
        print("No running system: start one with `make up`.", file=sys.stderr)
        return 1
    print(f"Machine: {machine.describe()}")
    if sys.argv[1:]:
        return await _alone(env, *sys.argv[1:])
    rest = soak.total(soak.memory()).pss
    kafka, database = env["KAFKA_BOOTSTRAP_SERVERS"], await hops.bench_database(env["DATABASE_URL"])
    three = await hops.measure_hops(kafka, database, 3, ROUNDS, commits=True)
    two = await hops.measure_hops(kafka, database, 2, ROUNDS, commits=False)
    transactions = hops.pgbench(database)
    copied = await hops.bare_copy(database, CODES)
    bare = await ledger_alone.bare_append(database)
    spread = await ledger_alone.measure(kafka, env["DATABASE_URL"], ledger_alone.CODES)
    hot = await ledger_alone.measure(kafka, env["DATABASE_URL"], 1)
    connector = aiohttp.TCPConnector(limit=CALLERS)
    async with aiohttp.ClientSession(connector=connector) as session:
        client = load.Client(session, env)
        generated, codes = await _codes(client, CODES)
        redemption = await load.one_at_a_time(client, "/v1/redemptions", codes, ROUNDS)
        validation = await load.one_at_a_time(client, "/v1/validations", codes, ROUNDS)
        before = machine.processor_seconds()
        rate, failed = await load.at_saturation(client, codes, CALLERS, SECONDS)
        used = machine.processor_seconds()
        used.subtract(before)
        told = await webhook.measure(session, env, client, codes[0], WEBHOOK_ROUNDS)
        crowd = await campaigns.measure(session, env, CROWD_ROUNDS)
    loaded = soak.total(soak.memory()).pss
    folded = await rebuild.measure(_settings(env), database)
    rows = [
        _row("redemption, one at a time, p50", "ms", redemption, three, 50, 2.0),
        _row("redemption, one at a time, p95", "ms", redemption, three, 95, 2.0),
        _row("validation, one at a time, p50", "ms", validation, two, 50, 2.0),
        _row("validation, one at a time, p95", "ms", validation, two, 95, 2.0),
        _entry("redemptions at saturation", "1/s", rate, "pgbench, 8 clients", transactions, 0.5),
        _entry("ledger alone, codes spread", "1/s", spread, "bare append of the rows", bare, 0.5),
        _entry("ledger alone, one hot code", "1/s", hot, "codes spread", spread, 0.8),
        _entry("codes stored and searchable", "1/s", generated, "bare COPY", copied, 0.3),
        _entry("validation, 10,000 campaigns, p50", "ms", *_medians(crowd), 2.0),
        _entry("qualification, 1,000 campaigns, p50", "ms", *_at(crowd, 50, 20.0), 1.0),
        _entry("qualification, 1,000 campaigns, p95", "ms", *_at(crowd, 95, 45.0), 1.0),
        *_webhook(told),
        _rebuild(folded),
        _entry("memory of all services after load", "MiB", loaded, "the same at rest", rest, 1.5),
        *_pricing(pricing.measure()),
    ]
    _print(rows)
    print(f"\nAt saturation ({CALLERS} callers, {SECONDS:.0f} s, {failed} not answered 200)")
    print("the processor's time went to:")
    total = sum(used.values())
    for name, seconds in used.most_common():
        print(f"  {name:<15} {100 * seconds / total:5.1f} %")
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(rows, indent=1))
    return 0


async def _alone(env: dict[str, str], measure: str, amount: str = "") -> int:
    """Run one measure that is too long for every run, or that somebody works on."""
    connector = aiohttp.TCPConnector(limit=CALLERS)
    async with aiohttp.ClientSession(connector=connector) as session:
        client = load.Client(session, env)
        if measure == "millions":
            cost = await millions.measure(session, env, int(amount or millions.MANY))
            _print(_millions(cost))
        elif measure == "rebuild":
            database = await hops.bench_database(env["DATABASE_URL"])
            _print([_rebuild(await rebuild.measure(_settings(env), database))])
        elif measure == "webhook":
            _, codes = await _codes(client, 100)
            times = await webhook.measure(session, env, client, codes[0], WEBHOOK_ROUNDS)
            _print(_webhook(times))
        elif measure == "footprint":
            footprint.show(await footprint.measure(client, _settings(env)))
        elif measure == "soak":
            _, codes = await _codes(client, CODES)
            return 0 if await soak.run(client, codes, float(amount or SOAK_MINUTES)) else 1
        else:
            print(USAGE)
            return 2
    return 0


def _settings(env: dict[str, str]) -> Settings:
    """Return settings that lead to the running system's servers, as their administrator."""
    return Settings(
        database_url=env["DATABASE_URL"],
        kafka_bootstrap_servers=env["KAFKA_BOOTSTRAP_SERVERS"],
    )


async def _codes(client: load.Client, count: int) -> tuple[float, list[str]]:
    """Make codes; returns how fast, and a hundred of them."""
    campaign, rate = await load.make_codes(client, count)
    listed = await client.must("GET", f"/v1/vouchers?campaign_id={campaign}&limit=100")
    return rate, [voucher["code"] for voucher in listed["vouchers"]]


def _webhook(times: list[float]) -> list[dict[str, Any]]:
    most = "what it is to take at most"
    return [
        _entry("event to webhook, idle, p50", "ms", webhook.at(times, 50), most, 50.0, 1.0),
        _entry("event to webhook, idle, p95", "ms", webhook.at(times, 95), most, 200.0, 1.0),
    ]


def _rebuild(rates: rebuild.Rates) -> dict[str, Any]:
    reference = "bare consume and COPY"
    return _entry("read models rebuilt", "1/s", rates.rebuilt, reference, rates.bare, 0.5)


def _millions(cost: millions.Cost) -> list[dict[str, Any]]:
    few = f"the same with {millions.FEW:,}"
    return [
        _entry("redemption, many vouchers, p50", "ms", cost.many_ms, few, cost.few_ms, 1.2),
        _entry(
            "many vouchers, 1/(redemptions/s)",
            "ms",
            1000 / cost.many_s,
            few,
            1000 / cost.few_s,
            1.2,
        ),
    ]


def _pricing(prices: pricing.Prices) -> list[dict[str, Any]]:
    """The core alone; a reference that cannot be had here has no row."""
    most = "what it is to take at most"
    rows = []
    if prices.medusa_carts is not None:
        reference = "@medusajs/promotion, one process"
        rows.append(
            _entry(
                "10 lines, 100 promotions", "1/s", prices.carts, reference, prices.medusa_carts, 5.0
            )
        )
    if prices.zen_rules is not None:
        rows.append(
            _entry(
                "100 rules of two, alone", "1/s", prices.rules, "zen-engine", prices.zen_rules, 1.0
            )
        )
    return [
        *rows,
        _entry("largest cart priced", "ms", prices.worst_ms, most, 500.0, 1.0),
        _entry("ten times as large refused", "ms", prices.refused_ms, most, 50.0, 1.0),
    ]


def _medians(crowd: campaigns.Times) -> tuple[float, str, float]:
    few = statistics.median(crowd.few)
    return statistics.median(crowd.many), "the same with 100 campaigns", few


def _at(crowd: campaigns.Times, percent: int, aim_ms: float) -> tuple[float, str, float]:
    """The aim is an absolute one: it stands where a reference does."""
    value = statistics.quantiles(crowd.qualification, n=100)[percent - 1]
    return value, "what it is to take at most", aim_ms


def _row(
    measure: str, unit: str, times: list[float], reference: list[float], percent: int, aim: float
) -> dict[str, Any]:
    name = "three bare hops and one commit" if "redemption" in measure else "two bare hops"
    value = statistics.quantiles(times, n=100)[percent - 1]
    return _entry(
        measure, unit, value, name, statistics.quantiles(reference, n=100)[percent - 1], aim
    )


def _entry(
    measure: str, unit: str, value: float, reference: str, reference_value: float, aim: float
) -> dict[str, Any]:
    return {
        "measure": measure,
        "value": round(value, 3),
        "unit": unit,
        "reference": reference,
        "reference_value": round(reference_value, 3),
        "ratio": round(value / reference_value, 3),
        "aim": aim,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    print(
        f"\n{'measure':<37}{'value':>10} {'unit':<5}{'reference':<34}{'value':>10}{'ratio':>8}{'aim':>6}"
    )
    for row in rows:
        print(
            f"{row['measure']:<37}{row['value']:>10.2f} {row['unit']:<5}{row['reference']:<34}"
            f"{row['reference_value']:>10.2f}{row['ratio']:>8.2f}{row['aim']:>6.1f}"
        )


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
