"""What the pricing core costs in this process, beside other programs' pricing and rules.

A cart of ten lines meets a hundred promotions of two rules each, of which fifty apply. The references
are installed under ``.local/bench`` the first time; where they cannot be had, their rows are left out. What
is priced is compared with arithmetic of this module's own. Seconds are those of a core, so that what
else the machine does changes neither side.
"""

import gc
import importlib
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from contracts.errors import DomainError
from engine.domain.order import Cart
from engine.domain.redeemables import read_candidates
from engine.domain.rules import judge_of
from engine.domain.snapshot import Snapshot
from engine.domain.stack import Run, cart_of
from engine.domain.validate import validate
from engine.testing import make_snapshot

REFERENCES = Path(__file__).parent / "references"
INSTALLED = Path(__file__).parent.parent / ".local" / "bench"
PROMOTIONS, LINES, SECONDS = 100, 10, 3.0
WORST_ROUNDS = 7
Json = dict[str, Any]


class Prices(NamedTuple):
    """Carts and rule sets per second, and milliseconds of the largest carts."""

    carts: float
    medusa_carts: float | None
    rules: float
    zen_rules: float | None
    worst_ms: float
    refused_ms: float


def measure() -> Prices:
    """Measure everything once, one after the other in this process.

    As in a service (``runtime.service``), what was imported is left out of the search for cycles: over the
    load generator's libraries it takes longer than the largest cart.
    """
    gc.collect()
    gc.freeze()
    snapshot = _snapshot()
    cart = price(snapshot)
    assert cart.state.discounts == expected(), "priced as this module reckons"
    return Prices(
        carts=_rate(lambda: price(snapshot)),
        medusa_carts=_medusa(),
        rules=_rate(_judging(snapshot)),
        zen_rules=_zen(),
        worst_ms=_worst_ms(),
        refused_ms=_median_ms(worst_cart(50)),
    )


def _worst_ms() -> float:
    work = worst_cart(5)
    assert is_priced(work()), "the largest cart is within every limit"
    return _median_ms(work)


def is_priced(answer: object) -> bool:
    """Say whether it is an answer in which everything applies."""
    return isinstance(answer, dict) and bool(answer["valid"])


def _percent(number: int) -> int:
    return 1 + number % 5


def _snapshot() -> Snapshot:
    rules = [
        {
            "id": f"rule_{number}",
            "name": f"Rule {number}",
            "rules": {
                "1": {
                    "name": "order.initial_amount",
                    "conditions": {"$more_than": [number if number % 2 else 10**8]},
                },
                "2": {
                    "name": "order.metadata",
                    "property": "channel",
                    "conditions": {"$is": ["app"]},
                },
                "logic": "1 and 2",
            },
        }
        for number in range(PROMOTIONS)
    ]
    discounts = [
        {"type": "PERCENT", "percent_off": _percent(number), "effect": "APPLY_TO_ITEMS"}
        for number in range(PROMOTIONS)
    ]
    world = {
        "rules": rules,
        "vouchers": {
            f"P{number}": {
                "definition": {"type": "DISCOUNT_VOUCHER", "discount": discount},
                "rules": [f"rule_{number}"],
            }
            for number, discount in enumerate(discounts)
        },
        "stacking_rules": {
            "redeemables_limit": PROMOTIONS,
            "applicable_redeemables_limit": PROMOTIONS,
            "redeemables_application_mode": "PARTIAL",
        },
    }
    request = {
        "redeemables": [{"object": "voucher", "id": f"P{n}"} for n in range(PROMOTIONS)],
        "order": {
            "metadata": {"channel": "app"},
            "items": [
                {"product_id": f"prod_{n}", "price": price, "quantity": 1}
                for n, price in enumerate(_line_prices())
            ],
        },
    }
    return make_snapshot(world, {"request": request})


def _line_prices() -> list[int]:
    return [1000 * (number + 1) for number in range(LINES)]


def price(snapshot: Snapshot) -> Cart:
    """Read the order, and apply what applies; answers are not written, as the reference writes none."""
    cart = cart_of(snapshot)
    assert cart is not None, "there is an order"
    run = Run(snapshot, cart, has_exclusive=False, must_suffice=True)
    run.is_trial = True
    for candidate in read_candidates(snapshot):
        run.take(candidate)
    return cart


def expected() -> list[int]:
    """Return each line's discount: one percentage after the other of what is left, halves up."""
    discounts = []
    for full in _line_prices():
        left = full
        for number in range(1, PROMOTIONS, 2):
            left -= (2 * left * _percent(number) + 100) // 200
        discounts.append(full - left)
    return discounts


def _judging(snapshot: Snapshot) -> Callable[[], object]:
    """Return what asks every rule once, as a request does, about a cart that nobody has asked about yet."""
    judges = [judge_of(code.rules[0]) for code in snapshot.codes.values()]
    cart = cart_of(snapshot)

    def judge() -> int:
        facts = Run(snapshot, cart, has_exclusive=False, must_suffice=True).facts
        return sum(judge(facts) is None for judge in judges)

    assert judge() == PROMOTIONS // 2, "half of the rules hold"
    return judge


def _rate(work: Callable[[], object]) -> float:
    work()
    count, started = 0, time.process_time()
    while time.process_time() - started < SECONDS:
        work()
        count += 1
    return count / (time.process_time() - started)


# -- the largest carts --------------------------------------------------------------------------------


def worst_cart(lines_in_hundreds: int) -> Callable[[], object]:
    """Return the pricing of 30 redeemables with the deepest rules, caps, and hundreds of lines."""
    body: Json = {"name": "order.amount", "conditions": {"$more_than": [0]}}
    for _ in range(9):
        body = {"name": "order.amount", "conditions": {"$more_than": [0]}, "rules": {"1": body}}
    entry = {
        "object": "products_collection",
        "id": "pc_a11pr0dUc75",
        "effect": "APPLY_FROM_CHEAPEST",
    }
    capped = {**entry, "target": "UNIT", "quantity_limit": 2, "amount_limit": 10**6}
    rule = {
        "id": "rule_1",
        "name": "Deep",
        "rules": {"1": body},
        "applicable_to": {"included": [capped]},
    }
    discount = {"type": "AMOUNT", "amount_off": 1, "effect": "APPLY_TO_ITEMS_BY_QUANTITY"}
    definition = {"type": "DISCOUNT_VOUCHER", "discount": discount}
    names = [f"C{number}" for number in range(30)]
    world = {
        "rules": [rule],
        "vouchers": {name: {"definition": definition, "rules": ["rule_1"]} for name in names},
        "stacking_rules": {"applicable_redeemables_limit": 30},
    }
    items = [
        {"product_id": f"prod_{n}", "price": 1000 + n, "quantity": 3}
        for n in range(100 * lines_in_hundreds)
    ]
    request = {
        "redeemables": [{"object": "voucher", "id": name} for name in names],
        "order": {"items": items},
    }
    snapshot = make_snapshot(world, {"request": request})

    def work() -> object:
        try:
            return validate(snapshot, "valid_1")
        except DomainError as refused:
            return refused

    return work


def _median_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(WORST_ROUNDS):
        started = time.process_time()
        work()
        times.append((time.process_time() - started) * 1000)
    return statistics.median(times)


# -- the references -----------------------------------------------------------------------------------


def _medusa() -> float | None:
    """Return the carts per second of ``@medusajs/promotion``, None where it cannot be had."""
    target = INSTALLED / "medusa"
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        return None
    if not (target / "node_modules" / ".package-lock.json").exists():
        target.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(REFERENCES / name, target / name)
        install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--legacy-peer-deps"]
        if subprocess.run(install, cwd=target, capture_output=True, check=False).returncode:
            return None
    asked = json.dumps({"promotions": _promotions(), "context": _context(), "seconds": SECONDS})
    done = subprocess.run(
        [node, str(REFERENCES / "medusa.js"), str(target)],
        input=asked,
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    for ours, theirs in zip(expected(), answer["taken"], strict=True):
        assert abs(ours - theirs) < PROMOTIONS / 2, (
            "both give the same but for rounding at each step"
        )
    return float(answer["carts"] / answer["seconds"])


def _promotions() -> list[Json]:
    return [
        {
            "code": f"P{number}",
            "rules": [
                {
                    "attribute": "subtotal",
                    "operator": "gt",
                    "values": [{"value": str(number if number % 2 else 10**8)}],
                },
                {"attribute": "metadata.channel", "operator": "eq", "values": [{"value": "app"}]},
            ],
            "application_method": {
                "type": "percentage",
                "target_type": "items",
                "allocation": "each",
                "value": _percent(number),
                "max_quantity": 1,
                "target_rules": [],
            },
        }
        for number in range(PROMOTIONS)
    ]


def _context() -> Json:
    items = [
        {"id": f"item_{n}", "subtotal": full, "original_total": full, "quantity": 1}
        for n, full in enumerate(_line_prices())
    ]
    return {"subtotal": sum(_line_prices()), "metadata": {"channel": "app"}, "items": items}


def _zen() -> float | None:
    """Return how often a second ``zen-engine`` answers the same hundred rules, None without it."""
    target = INSTALLED / "zen"
    if not target.exists():
        install = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--require-hashes",
        ]
        places = ["--target", str(target), "-r", str(REFERENCES / "requirements.txt")]
        if subprocess.run([*install, *places], capture_output=True, check=False).returncode:
            return None
    sys.path.insert(0, str(target))
    zen = importlib.import_module("zen")
    texts = [
        f"order.amount > {number if number % 2 else 10**8} and order.channel == 'app'"
        for number in range(PROMOTIONS)
    ]
    compiled = [zen.compile_expression(text) for text in texts]
    context = {"order": {"amount": sum(_line_prices()), "channel": "app"}}

    def judge() -> int:
        return sum(one.evaluate(context) is True for one in compiled)

    assert judge() == PROMOTIONS // 2, "half of the rules hold"
    return _rate(judge)
