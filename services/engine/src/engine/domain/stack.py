"""Applying a stack: each redeemable is checked and priced against what those before it left.

The one loop that both a validation and a plan run; they differ in whether our view of the accounts may
refuse (``must_suffice``).
"""

from collections.abc import Sequence
from typing import NamedTuple

from contracts.errors import ErrorBody, JsonObject
from engine.domain import validity
from engine.domain.claims import (
    Claim,
    Claimed,
    credits_account,
    credits_of,
    limits_of,
    use_of,
    violated,
)
from engine.domain.collections import Collections
from engine.domain.definition import Code
from engine.domain.facts import Facts
from engine.domain.order import Cart, OrderFacts, order_json, read_cart
from engine.domain.pricing import Priced, apply_discount, apply_gift
from engine.domain.redeemables import Redeemable, read_redeemables
from engine.domain.refusals import Refused, refusal
from engine.domain.rules import Verdicts, verdicts_of, violation_of
from engine.domain.snapshot import Snapshot
from engine.domain.stacking import Admission


class Step(NamedTuple):
    """What became of one redeemable: applied (``priced``), refused (``error``) or skipped."""

    place: int
    """Its place in the request."""
    redeemable: Redeemable
    code: Code | None
    priced: Priced | None = None
    error: ErrorBody | None = None
    skipped: str | None = None
    claims: Sequence[Claim] = ()
    taken: int = 0
    order: JsonObject | None = None
    """The order's cumulative state after this step."""


class Outcome(NamedTuple):
    """The steps in the order of application, and the cart at the end."""

    steps: list[Step]
    cart: Cart | None
    is_valid: bool

    @property
    def applied(self) -> list[Step]:
        """Those that apply."""
        return [step for step in self.steps if step.priced is not None]

    @property
    def refused(self) -> list[Step]:
        """Those that do not."""
        return [step for step in self.steps if step.error is not None]

    @property
    def skipped(self) -> list[Step]:
        """Those that were not tried, or had no effect."""
        return [step for step in self.steps if step.skipped is not None]


def apply_stack(snapshot: Snapshot, *, must_suffice: bool) -> Outcome:
    """Apply the request's redeemables; raises ``InvalidPayload`` for what cannot be read."""
    rules = snapshot.stacking_rules
    redeemables = read_redeemables(snapshot.request, rules["redeemables_limit"])
    cart = _cart(snapshot)
    codes = [_code(snapshot, redeemable) for redeemable in redeemables]
    run = _Run(snapshot, cart, Admission(rules, codes), must_suffice=must_suffice)
    for index, (redeemable, code) in enumerate(zip(redeemables, codes, strict=True)):
        run.take(index, redeemable, code)
    return Outcome(run.steps, cart, run.is_valid)


def _cart(snapshot: Snapshot) -> Cart | None:
    sent = snapshot.request.order
    if sent is None:
        return None
    collections = Collections(snapshot.collections, snapshot.now)
    facts = OrderFacts(snapshot.project_id, snapshot.catalogue, snapshot.stored_order, collections)
    return read_cart(sent, facts)


def _code(snapshot: Snapshot, redeemable: Redeemable) -> Code | None:
    return snapshot.codes.get(redeemable.id) if redeemable.object == "voucher" else None


class _Run:
    """The state of one run through a stack."""

    def __init__(
        self, snapshot: Snapshot, cart: Cart | None, admission: Admission, *, must_suffice: bool
    ) -> None:
        self.snapshot = snapshot
        self.cart = cart
        self.admission = admission
        self.must_suffice = must_suffice
        self.claimed = Claimed(snapshot.accounts)
        self.steps: list[Step] = []
        self.seen: set[str] = set()
        self.needs_all = snapshot.stacking_rules["redeemables_application_mode"] == "ALL"
        customer = snapshot.customer
        self.customer_id = customer.id if customer else None
        self.facts = Facts(
            now=snapshot.now,
            cart=cart,
            customer=customer.shown if customer else None,
            segments=snapshot.segments,
            metadata=snapshot.request.metadata,
            api_key_id=snapshot.api_key_id,
        )

    @property
    def has_failed(self) -> bool:
        """Whether a redeemable was refused where all must apply."""
        return self.needs_all and any(step.error is not None for step in self.steps)

    @property
    def is_valid(self) -> bool:
        """Whether the stack as a whole may be redeemed."""
        return not self.has_failed and any(step.priced is not None for step in self.steps)

    def take(self, index: int, redeemable: Redeemable, code: Code | None) -> None:
        """Take the next redeemable."""
        self.steps.append(self._step(Step(index, redeemable, code)))

    def _step(self, step: Step) -> Step:
        if self.has_failed:
            return step._replace(skipped="preceding_validation_failed")
        code = step.code
        if code is None:
            return step._replace(error=_not_found(step.redeemable))
        skipped = self.admission.reason_to_skip(code)
        if skipped is not None:
            return step._replace(skipped=skipped)
        saved = self.cart.save() if self.cart is not None else None
        try:
            done = self._apply(step, code)
        except Refused as refused:
            done = step._replace(error=refused.error)
        if done.priced is None and self.cart is not None and saved is not None:
            self.cart.restore(saved)
        return done

    def _apply(self, step: Step, code: Code) -> Step:
        if code.id in self.seen:
            raise Refused(refusal("duplicated_redeemables", code.code))
        self.seen.add(code.id)
        if self.cart is not None:
            self.cart.begin_step()
        verdicts = self._check(code)
        priced = self._price(step.redeemable, code)
        taken = self.cart.step_total if self.cart is not None else 0
        if self.cart is not None and not taken and self.admission.skips_without_effect(code):
            return step._replace(skipped="no_effect")
        claims = self._claims(code, priced, verdicts)
        self.claimed.add(claims)
        self.admission.count(code)
        order = order_json(self.cart, self.customer_id) if self.cart is not None else None
        return step._replace(priced=priced, claims=claims, taken=taken, order=order)

    def _check(self, code: Code) -> list[Verdicts]:
        error = validity.check(code, self.snapshot.now)
        if error is not None:
            raise Refused(error)
        self._refuse_without_room([use_of(code)])
        verdicts = [verdicts_of(rule, self.facts) for rule in code.rules]
        for rule, said in zip(code.rules, verdicts, strict=True):
            violation = violation_of(rule, said)
            if violation is not None:
                raise Refused(violated(code, violation))
        return verdicts

    def _price(self, redeemable: Redeemable, code: Code) -> Priced:
        if code.definition.type == "DISCOUNT_VOUCHER":
            return apply_discount(code, self.facts)
        if code.definition.type == "GIFT_VOUCHER":
            balance = self._balance(code)
            return apply_gift(code, redeemable, self.facts, balance, must_suffice=self.must_suffice)
        details = "Loyalty cards cannot be redeemed here"
        raise Refused(
            refusal("invalid_voucher", details, resource_id=code.id, resource_type="voucher")
        )

    def _balance(self, code: Code) -> int:
        """Return the card's credits by our view.

        A plan does not trust an empty card unless the ledger said so: it asks for what the order costs,
        and the ledger hands the plan back with what there is.
        """
        account = credits_account(code)
        left = self.claimed.left(account, int((code.definition.gift or {}).get("amount") or 0))
        assert left is not None, "a card's credits are always limited"
        is_certain = self.must_suffice or account in self.snapshot.accounts.available
        if left <= 0 and not is_certain and self.cart is not None:
            return self.cart.total
        return max(0, left)

    def _claims(self, code: Code, priced: Priced, verdicts: Sequence[Verdicts]) -> list[Claim]:
        claims = [use_of(code)]
        if priced.credits:
            claims.append(credits_of(code, priced.credits, is_adjustable=priced.is_adjustable))
        claims.extend(limits_of(code, verdicts, self.facts, self.customer_id, self.claimed))
        self._refuse_without_room(claims)
        return claims

    def _refuse_without_room(self, claims: Sequence[Claim]) -> None:
        if not self.must_suffice:
            return
        for claim in claims:
            if not self.claimed.has_room(claim.account, claim.limit, claim.amount):
                raise Refused(claim.error)


def _not_found(redeemable: Redeemable) -> ErrorBody:
    return refusal(
        "not_found",
        f"Cannot find {redeemable.object} with id {redeemable.id}",
        resource_id=redeemable.id,
        resource_type=redeemable.object,
    )
