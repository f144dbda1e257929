"""What a run is asked to do, and the callers that ask: they repeat themselves until they are answered.

The planner stands in for the engine: it makes plans from definitions that never change, and plans anew
when the ledger hands a plan back.
"""

import random
from collections.abc import Mapping
from typing import NamedTuple

from contracts.customers import Order, OrderUpdated
from contracts.engine import PlanRedemption, StackRequest, ValidateStack
from contracts.ledger import AdjustBalance, PlaceHold, Redeem, ReleaseHold
from contracts.messages import Command
from tests.oracle.machine import ORDERS, PROJECTS, START, postings_of, redeem_of, roll_back_of
from tests.oracle.redemptions import Definition, Take

LIMITS: dict[str, int | None] = {
    "uses/a": 3,
    "uses/b": 1,
    "uses/c": 8,
    "credits/g": 50,
    "uses/free": None,
}
OPERATIONS_MAX = 1000
SHARED = sorted(LIMITS)
"""What everybody takes from; besides, each session has a code of its own, good for one use."""
LIMITS |= {f"uses/own-{number}": 1 for number in range(OPERATIONS_MAX)}
SAID = {account: Definition(limit, version=0) for account, limit in LIMITS.items()}
TWIN_SHARES = (0.0, 0.3, 1.0)
"""How often a session's hold and its redemption are asked for at once, as by two clicks."""
TWIN_S = 0.04
SESSION_OPERATIONS = 5
"""So many operations share a session before the next one begins: first holds are where races are."""
PARTS_MAX = 5


class Operation(NamedTuple):
    """One thing that somebody wants; ``name`` is its own."""

    at: float
    kind: str
    project: str
    name: str
    takes: tuple[Take, ...] = ()
    session: str | None = None
    order: str | None = None
    order_version: int = 0
    of: str = ""
    """The redemption to give back."""
    amount: int = 0
    seconds: int = 0


KINDS = {"redeem": 10, "roll_back": 3, "top_up": 1, "hold": 5, "release": 1, "cancel": 1}


def operations_of(seed: int, count: int) -> tuple[Operation, ...]:
    """Return what is asked for in a run."""
    chance = random.Random(f"{seed}/operations")
    pace = chance.choice((0.002, 0.02, 0.2))
    twins = chance.choice(TWIN_SHARES)
    weights = [chance.choice((0.2, 1, 1, 4)) * weight for weight in KINDS.values()]
    if twins == 1.0:
        weights = [kind == "hold" for kind in KINDS]
    made: list[Operation] = []
    at = 0.0
    for number in range(count):
        at += pace * chance.random()
        kind = chance.choices(list(KINDS), weights)[0]
        redeemed = [one for one in made if one.kind == "redeem"]
        if kind == "roll_back" and not redeemed:
            kind = "redeem"
        session = f"s{number // (2 if twins == 1.0 else SESSION_OPERATIONS)}"
        last = made[-1] if made else None
        if last is not None and last.kind == "hold" and chance.random() < twins:
            own = (Take(f"uses/own-{number}", 1),)
            made[-1] = last._replace(takes=own)
            soon = last.at + TWIN_S * chance.random()
            made.append(made[-1]._replace(at=soon, kind="redeem", name=f"r{number}", order=None))
            continue
        made.append(_operation(chance, at, kind, f"r{number}", redeemed, session))
    return tuple(made)


def _operation(
    chance: random.Random, at: float, kind: str, name: str, redeemed: list[Operation], its: str
) -> Operation:
    project = chance.choice(PROJECTS)
    operation = Operation(at, kind, project, name)
    if kind in {"redeem", "hold"}:
        operation = operation._replace(
            takes=tuple(
                Take(
                    chance.choice(SHARED),
                    chance.choice((1, 1, 1, 2, 20)),
                    chance.random() < 0.3,
                )
                for _ in range(chance.choice((1, 1, 2, 3)))
            ),
            session=chance.choice((its, None)) if kind == "redeem" else None,
            order=chance.choice((None, None, *ORDERS)),
        )
    if kind in {"hold", "release"}:
        operation = operation._replace(session=its)
    if kind == "roll_back":
        known = chance.choice(redeemed)
        return operation._replace(project=known.project, of=known.name)
    return operation._replace(
        order_version=chance.choice((0, 0, 0, 1, 2)),
        order=chance.choice(ORDERS) if kind == "cancel" else operation.order,
        amount=chance.choice((-60, -10, 5, 20, 0)),
        seconds=chance.choice((1, 2, 30)),
    )


def cancellation(operation: Operation) -> OrderUpdated:
    """Return what the order's owner says."""
    assert operation.order is not None
    order = Order(id=operation.order, status="CANCELED", created_at=START)
    return OrderUpdated(order=order, previous_status="CREATED")


def command_of(operation: Operation) -> Command:
    """Return the command that the caller sends."""
    if operation.kind == "redeem":
        return plan(operation, 1, 1, operation.order_version, {})
    if operation.kind == "roll_back":
        return roll_back_of(operation.of, PARTS_MAX, f"rrf-{operation.name}")
    if operation.kind == "top_up":
        return AdjustBalance(
            voucher_id="g",
            voucher={"id": "g"},
            account="credits/g",
            unit="credit",
            amount=operation.amount,
            limit=LIMITS["credits/g"] or 0,
            limit_version=0,
            transaction_id=operation.name,
        )
    if operation.kind == "hold":
        return hold(operation, 1, {})
    assert operation.kind == "release", operation.kind
    return ReleaseHold(session_key=operation.session or "")


def amounts_of(operation: Operation, available: Mapping[str, int]) -> list[Take]:
    """Return what is planned: as much as is there, where the amount may be chosen."""
    left = dict(available)
    planned = []
    for take in operation.takes:
        amount = take.amount
        if take.is_flexible and take.account in left:
            amount = max(min(amount, left[take.account]), 1)
            left[take.account] -= amount
        planned.append(take._replace(amount=amount))
    return planned


def plan(
    operation: Operation, attempt: int, turn: int, version: int, available: Mapping[str, int]
) -> Redeem:
    """Return the plan of a redemption."""
    known = (operation.order, version) if operation.order is not None else None
    takes = [
        # What does not even fit when it is planned anew is refused, not planned for ever.
        take._replace(is_flexible=take.is_flexible and attempt < 3)
        for take in amounts_of(operation, available)
    ]
    command = redeem_of(
        operation.name, takes, SAID, operation.session, attempt, "WITH_ORDER", known
    )
    stack = command.plan.stack.model_copy(update={"tracking_id": operation.name})
    changes = {"stack": stack, "turn": turn, "metadata": {"planned_on": version}}
    return Redeem(plan=command.plan.model_copy(update=changes))


def hold(operation: Operation, attempt: int, available: Mapping[str, int]) -> PlaceHold:
    """Return the hold for a validation: of what fits."""
    left = dict(available)
    takes = []
    for take in operation.takes:
        amount = min(take.amount, left.get(take.account, take.amount))
        left[take.account] = left.get(take.account, 10**6) - amount
        takes += [take._replace(amount=amount)] if amount else []
    stack = StackRequest(redeemables=[], tracking_id=operation.name)
    return PlaceHold(
        session_key=operation.session or "",
        postings=postings_of(takes, SAID),
        ttl_us=operation.seconds * 1_000_000,
        order_id=operation.order,
        validation=ValidateStack(
            validation_id=operation.name, stack=stack, now=START, attempt=attempt
        ),
        answer={"valid": bool(takes), "id": operation.name},
    )


def again(request: PlanRedemption | ValidateStack, operations: Mapping[str, Operation]) -> Command:
    """Return what the engine answers to what the ledger handed back."""
    operation = operations[request.stack.tracking_id or ""]
    if isinstance(request, ValidateStack):
        return hold(operation, request.attempt, request.available)
    return plan(operation, request.attempt, request.turn, request.order_version, request.available)
