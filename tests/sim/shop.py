"""What a run is asked to do, and what a caller sends for it.

Codes and gift cards are named by what they are limited by (``uses/a``, ``credits/g``); in each project
they are vouchers of their own.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from contracts import campaigns, gateway, ids
from contracts.campaigns import CreateVoucher, SetVoucherActive, UpdateVoucher
from contracts.customers import UpsertOrder
from contracts.engine import PlanRedemption, StackRequest, ValidateStack
from contracts.errors import JsonObject
from contracts.ledger import AdjustBalance, ReleaseHold, RollBack
from contracts.messages import Message
from tests.oracle.machine import ORDERS, PROJECTS, START, roll_back_of
from tests.oracle.redemptions import Definition, Take

CARD = "credits/g"
LIMITS: dict[str, int | None] = {
    "uses/a": 3,
    "uses/b": 1,
    "uses/c": 8,
    CARD: 50,
    "uses/free": None,
}
SHARED = sorted(LIMITS)
MORE = [f"uses/more-{number}" for number in range(8)]
"""What everybody takes from; besides, twins have a code of their own, good for one use."""
SAID_OF_CARD = Definition(LIMITS[CARD], version=1)
ORDER_AMOUNT = 1000
TWIN_SHARES = (0.0, 0.3, 1.0)
"""How often a session's hold and its redemption are asked for at once, as by two clicks."""
TWIN_S = 0.02
SESSION_OPERATIONS = 5
"""So many operations share a session before the next one begins: first holds are where races are."""
STORY_SHARES = (0.0, 0.3, 0.6)
"""How much of a run is stories: what happens to one thing, one after the other, at short intervals."""
STORY_PACES = (0.02, 0.4)
OPERATIONS_A_LIMIT = 20
"""After so many operations limits are raised by one more."""
PARTS_MAX = 5


class Operation(NamedTuple):
    """One thing that somebody wants; ``name`` is its own."""

    at: float
    kind: str
    project: str
    name: str
    takes: tuple[Take, ...] = ()
    """Of each code one use; of the card so many credits, if flexible as many as the order costs."""
    session: str | None = None
    order: str | None = None
    of: str = ""
    """The redemption to give back."""
    amount: int = 0
    seconds: int = 0


KINDS = {
    "redeem": 10,
    "roll_back": 3,
    "top_up": 1,
    "hold": 5,
    "release": 1,
    "cancel": 1,
    "limit": 2,
    "switch": 1,
}
CHANGES = {"limit", "switch"}
"""What the merchant does: another limit of a code, higher or lower; switched off, or on again."""
CHANGED = ("uses/a", "uses/b", "uses/c")
MANY_TIMES = ("uses/c", "uses/free", MORE[0])


def operations_of(seed: int, count: int) -> tuple[Operation, ...]:
    """Return what is asked for in a run."""
    return tuple(_Shop(random.Random(f"{seed}/operations"), count).made[:count])


class _Shop:
    """Thinks out what is asked for. Each run has a pace, twins, stories and kinds in shares of its own."""

    def __init__(self, chance: random.Random, count: int) -> None:
        self._chance = chance
        self._pace = chance.choice((0.002, 0.01, 0.05))
        self._twins = chance.choice(TWIN_SHARES)
        self._stories = chance.choice(STORY_SHARES)
        self._weights = [chance.choice((0.2, 1, 1, 4)) * weight for weight in KINDS.values()]
        if self._twins == 1.0:
            self._weights = [float(kind == "hold") for kind in KINDS]
            self._stories = 0.0
            self._pace = 0.1  # who waits in a queue meets nobody
        self._at = 0.0
        self.made: list[Operation] = []
        while len(self.made) < count:
            self._at += self._pace * chance.random()
            if chance.random() < self._stories:
                self._tell(chance.choice((self._refilled, self._paid_twice))())
            else:
                self._add(chance.choices(list(KINDS), self._weights)[0])

    @property
    def _name(self) -> str:
        return f"r{len(self.made)}"

    def _add(self, kind: str) -> None:
        last = self.made[-1] if self.made else None
        if last is not None and last.kind == "hold" and self._chance.random() < self._twins:
            self._add_twin(last)
            return
        if kind == "roll_back" and not self._redeemed():
            kind = "redeem"
        self.made.append(self._operation(kind))

    def _redeemed(self) -> list[Operation]:
        return [one for one in self.made if one.kind == "redeem"]

    def _add_twin(self, last: Operation) -> None:
        chance = self._chance
        own = (Take(f"uses/own-{len(self.made)}", 1),)
        self.made[-1] = last._replace(takes=own)
        soon = max(0.0, last.at + TWIN_S * (2 * chance.random() - 1))
        twin = self.made[-1]._replace(at=soon, kind="redeem", name=self._name, order=None)
        # Another code in front: what orders the plan among the ledger's commands is another name.
        more = (Take(chance.choice(MORE), 1), *own) if chance.random() < 0.7 else own
        self.made.append(twin._replace(takes=more))

    def _operation(self, kind: str) -> Operation:
        chance = self._chance
        number = len(self.made)
        session = f"s{number // (2 if self._twins == 1.0 else SESSION_OPERATIONS)}"
        operation = Operation(self._at, kind, chance.choice(PROJECTS), self._name)
        if kind in {"redeem", "hold"}:
            chosen = chance.sample(SHARED, chance.choice((1, 1, 2, 3)))
            operation = operation._replace(
                takes=tuple(
                    Take(one, chance.choice((1, 2, 20)), chance.random() < 0.5)
                    if one == CARD
                    else Take(one, 1)
                    for one in chosen
                ),
                session=chance.choice((session, None)) if kind == "redeem" else None,
                order=chance.choice((None, None, *ORDERS)),
            )
        if kind in CHANGES:
            # Limits grow with what has been asked for, so that something is always left to quarrel about.
            limit = chance.choice((1, 2, 4, 9)) + number // OPERATIONS_A_LIMIT
            changed = Take(chance.choice(CHANGED), limit)
            return operation._replace(takes=(changed,), amount=chance.choice((0, 1, 1)))
        if kind in {"hold", "release"}:
            operation = operation._replace(session=session)
        if kind == "roll_back":
            known = chance.choice(self._redeemed())
            return operation._replace(project=known.project, of=known.name)
        return operation._replace(
            order=chance.choice(ORDERS) if kind == "cancel" else operation.order,
            amount=chance.choice((-60, -10, 5, 20, 50, 0)),
            seconds=chance.choice((1, 2, 8)),
        )

    def _tell(self, story: Iterable[Operation]) -> None:
        """Ask for one thing soon after another, or nearly at once, in one project."""
        at, project = self._at, self._chance.choice(PROJECTS)
        pace = self._chance.choice(STORY_PACES)
        for operation in story:
            self.made.append(operation._replace(at=at, project=project))
            at += pace * self._chance.random()

    def _refilled(self) -> Iterator[Operation]:
        """A card is emptied, refilled and emptied again: views of it are soon out of date."""
        everything = (Take(CARD, 1, is_flexible=True),)
        emptied = self._operation("redeem")._replace(takes=everything, session=None)
        yield emptied
        kind = self._chance.choice(("top_up", "roll_back"))
        refilled = Operation(0.0, kind, "", self._name, of=emptied.name, amount=20)
        yield refilled
        yield self._operation("redeem")._replace(takes=everything, session=None)

    def _paid_twice(self) -> Iterator[Operation]:
        """An order, its own or a common one, is paid by some codes; one is given back, or it is canceled."""
        order = self._chance.choice((f"ord_{self._name}", f"ord_{self._name}", *ORDERS))
        paid: list[Operation] = []
        for code in self._chance.sample(MANY_TIMES, self._chance.choice((1, 1, 2, 3))):
            paid.append(self._operation("redeem"))
            yield paid[-1]._replace(takes=(Take(code, 1),), session=None, order=order)
        kind = self._chance.choice(("roll_back", "roll_back", "cancel"))
        given_back = self._chance.choice(paid).name if kind == "roll_back" else ""
        yield Operation(0.0, kind, "", self._name, order=order, of=given_back)


# -- names -----------------------------------------------------------------------------------------


def code_of(name: str) -> str:
    """Return the code of what is limited: ``a`` of ``uses/a``."""
    return name.partition("/")[2]


def account_of(project: str, name: str) -> str:
    """Return the ledger's account: ``uses/<voucher>`` of ``uses/a``."""
    kind, _, code = name.partition("/")
    return f"{kind}/{ids.voucher_id(project, code)}"


def accounts_asked(operation: Operation) -> dict[str, Take]:
    """Return what may be taken of which account; of a card a use is counted too."""
    asked = {}
    for take in operation.takes:
        account = account_of(operation.project, take.account)
        asked[account] = take._replace(account=account)
        if take.account == CARD:
            use = account.replace("credits/", "uses/")
            asked[use] = Take(use, 1)
    return asked


# -- definitions -----------------------------------------------------------------------------------


def project_of(project: str) -> gateway.ProjectCreated:
    """Return the event of a project."""
    made = gateway.Project(
        id=project,
        name=project,
        timezone="UTC",
        currency="EUR",
        created_at=START,
        webhook_secret="cipher",
    )
    return gateway.ProjectCreated(project=made)


def limit_of(name: str) -> int | None:
    """Return the limit that a run begins with."""
    return None if name in MORE else LIMITS.get(name, 1)


def body_of(name: str) -> JsonObject:
    """Return how a code, or the card, is defined."""
    if name == CARD:
        return {
            "type": "GIFT_VOUCHER",
            "gift": {"amount": LIMITS[CARD], "effect": "APPLY_TO_ORDER"},
        }
    return {
        "type": "DISCOUNT_VOUCHER",
        "discount": {"type": "AMOUNT", "amount_off": 1, "effect": "APPLY_TO_ORDER"},
        "redemption": {"quantity": limit_of(name)},
    }


def voucher_of(project: str, name: str) -> campaigns.VoucherCreated:
    """Return the event of a code, or of the card."""
    code, is_card = code_of(name), name == CARD
    definition = campaigns.VoucherDefinition(
        type="GIFT_VOUCHER" if is_card else "DISCOUNT_VOUCHER",
        gift={"amount": LIMITS[CARD], "effect": "APPLY_TO_ORDER"} if is_card else None,
        discount=None
        if is_card
        else {"type": "AMOUNT", "amount_off": 1, "effect": "APPLY_TO_ORDER"},
        redemption={"quantity": None if is_card else limit_of(name)},
    )
    voucher = campaigns.Voucher(
        id=ids.voucher_id(project, code), code=code, definition=definition, created_at=START
    )
    return campaigns.VoucherCreated(voucher=voucher, gift_amount=LIMITS[CARD] if is_card else None)


def definitions_of(operations: Iterable[Operation]) -> list[tuple[str, CreateVoucher]]:
    """Return, with their projects, the commands that make what these operations name."""
    made = []
    for project in PROJECTS:
        named = {take.account for one in operations if one.project == project for take in one.takes}
        for name in sorted({*LIMITS, *named}):
            made.append((project, CreateVoucher(code=code_of(name), definition=body_of(name))))
    return made


# -- requests --------------------------------------------------------------------------------------


def message_of(operation: Operation, redeemed: Mapping[str, str]) -> Message:
    """Return what the caller sends; ``redeemed`` are the redemptions that have been answered."""
    if operation.kind == "redeem":
        return PlanRedemption(stack=_stack(operation), now=START)
    if operation.kind == "hold":
        return ValidateStack(validation_id=operation.name, stack=_stack(operation), now=START)
    if operation.kind == "roll_back":
        found = redeemed.get(operation.of, f"r_{operation.of}")
        return _roll_back(operation, found)
    if operation.kind == "top_up":
        return _top_up(operation)
    if operation.kind == "limit":
        changes: JsonObject = {"redemption": {"quantity": operation.takes[0].amount}}
        return UpdateVoucher(code=code_of(operation.takes[0].account), changes=changes)
    if operation.kind == "switch":
        code = code_of(operation.takes[0].account)
        return SetVoucherActive(code=code, active=bool(operation.amount))
    if operation.kind == "cancel":
        return UpsertOrder(order_id=operation.order or "", changes={"status": "CANCELED"})
    assert operation.kind == "release", operation.kind
    return ReleaseHold(session_key=operation.session or "")


def _stack(operation: Operation) -> StackRequest:
    session: JsonObject | None = None
    if operation.session is not None:
        session = {"type": "LOCK", "key": operation.session}
        session |= {"ttl": operation.seconds, "ttl_unit": "SECONDS"}
    order: JsonObject = {"amount": ORDER_AMOUNT}
    if operation.order is not None:
        order["id"] = operation.order
    return StackRequest(
        redeemables=[_redeemable(take) for take in operation.takes],
        order=order,
        session=session,
        metadata={"operation": operation.name},
    )


def _redeemable(take: Take) -> JsonObject:
    named: JsonObject = {"object": "voucher", "id": code_of(take.account)}
    if take.account == CARD and not take.is_flexible:
        named["gift"] = {"credits": take.amount}
    return named


def _roll_back(operation: Operation, redemption: str) -> RollBack:
    command = roll_back_of(redemption, PARTS_MAX, f"rrf-{operation.name}")
    rollback_ids = [f"rr-{operation.name}-{number}" for number in range(PARTS_MAX + 1)]
    return command.model_copy(update={"rollback_ids": rollback_ids})


def _top_up(operation: Operation) -> AdjustBalance:
    code = code_of(CARD)
    return AdjustBalance(
        voucher_id=ids.voucher_id(operation.project, code),
        voucher={"id": ids.voucher_id(operation.project, code), "code": code},
        account=account_of(operation.project, CARD),
        unit="credit",
        amount=operation.amount,
        limit=SAID_OF_CARD.limit or 0,
        limit_version=SAID_OF_CARD.version,
        transaction_id=operation.name,
    )
