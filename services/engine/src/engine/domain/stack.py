"""Applying a stack: each redeemable is checked and priced against what those before it left.

The one loop that both a validation and a plan run; they differ in whether our view of the accounts may
refuse (``must_suffice``).
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from contracts.errors import JsonObject
from contracts.payload import refuse
from engine import limits
from engine.domain import validity
from engine.domain.best_deal import Worth, best_order
from engine.domain.bundle import bundle_json
from engine.domain.claims import (
    Claim,
    Claimed,
    credits_of,
    limits_of,
    subject_of,
    use_of,
    violated,
)
from engine.domain.collections import Collections
from engine.domain.counters import Counters
from engine.domain.definition import Code, account_of_credits, efforts_of
from engine.domain.effort import refuse_too_complex, trials_of
from engine.domain.explain import Heard, amounts_of, explanation, hear
from engine.domain.facts import Facts, Spent
from engine.domain.limit_rules import Limit
from engine.domain.order import Cart, Moment, OrderFacts, State, read_cart
from engine.domain.pricing import (
    apply_discount,
    apply_gift,
    apply_to_whole_lines,
    discount_effect,
)
from engine.domain.recipe import Priced, Recipe, recipe_of
from engine.domain.redeemables import Candidate, Redeemable, read_candidates
from engine.domain.refusals import Refusal, Refused
from engine.domain.rules import Verdicts, bundle_of, verdicts_after, verdicts_of, violation_of
from engine.domain.snapshot import PromotionStack, Snapshot
from engine.domain.stacking import (
    EXCLUSIVE,
    Admission,
    Counts,
    Way,
    closed_lines,
    is_once,
    kind_of_code,
    seeks_best_deal,
    sorted_groups,
)


class Step:
    """What became of one redeemable: applied (``priced``), refused (``error``) or skipped."""

    priced: Priced | None = None
    error: Refusal | None = None
    skipped: str | None = None
    other_claims: Sequence[Claim] = ()
    """Of one that applies, besides that on one use."""
    taken = 0
    bundle: JsonObject | None = None
    """What the order has of the bundle that a refused redeemable asks for."""
    amounts: tuple[Cart, State, State] | None = None
    """The order, what it came to after this step, and before it."""
    explanation: JsonObject | None = None
    """Where it was asked for."""

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate
        self.code = candidate.code

    @property
    def place(self) -> int:
        """Its place in the request, or in the promotion stack."""
        return self.candidate.place

    @property
    def redeemable(self) -> Redeemable:
        """What the request names."""
        return self.candidate.redeemable

    @property
    def stack(self) -> PromotionStack | None:
        """The promotion stack that brought it."""
        return self.candidate.stack

    @property
    def order(self) -> Moment | None:
        """The order's cumulative state after this step."""
        return Moment(*self.amounts) if self.amounts is not None else None

    @property
    def claims(self) -> list[Claim]:
        """What a redeemable that applies takes out of the ledger's accounts."""
        assert self.code is not None, "only codes that are there apply"
        return [use_of(self.code), *self.other_claims]


class Outcome(NamedTuple):
    """The steps in the order of application, and the cart at the end."""

    steps: list[Step]
    cart: Cart | None
    is_valid: bool
    search: str | None = None
    """How the order of application was found, where it was looked for."""
    sent_order: JsonObject | None = None
    """Of a plan: the order before anything applied."""

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
    candidates = read_candidates(snapshot)
    cart = cart_of(snapshot)
    rules = snapshot.stacking_rules
    steps = _refuse_too_complex(candidates, cart, rules)
    has_exclusive = any(kind_of_code(one.code, rules) == EXCLUSIVE for one in candidates)
    run = Run(snapshot, cart, has_exclusive=has_exclusive, must_suffice=must_suffice)
    run.explained_rules_max = limits.EXPLAINED_RULES_MAX // len(candidates)
    start = run.save()
    sent_order = None if must_suffice else run.shown_order()
    outcome = _apply(run, candidates, steps)
    is_partial = rules["redeemables_application_mode"] == "PARTIAL"
    if has_exclusive and is_partial and not run.admission.applied_exclusive:
        # Common redeemables give way to exclusive ones that apply; here none does.
        run.admission.has_exclusive = False
        run.restore(start)
        outcome = _apply(run, candidates, steps)
    return outcome._replace(sent_order=sent_order.to_json() if sent_order is not None else None)


def cart_of(snapshot: Snapshot) -> Cart | None:
    """Return the request's order, None where there is none; raises ``InvalidPayload``."""
    sent = snapshot.request.order
    if sent is None:
        return None
    collections = Collections(snapshot.collections, snapshot.now)
    facts = OrderFacts(
        snapshot.project_id,
        snapshot.catalogue,
        snapshot.stored_order,
        collections,
        snapshot.customer.id if snapshot.customer is not None else None,
    )
    return read_cart(sent, facts)


def _refuse_too_complex(
    candidates: Sequence[Candidate], cart: Cart | None, rules: JsonObject
) -> int:
    efforts = [
        effort for one in candidates if one.code is not None for effort in efforts_of(one.code)
    ]
    lines = len(cart.lines) if cart is not None else 0
    return refuse_too_complex(efforts, lines, is_searched=seeks_best_deal(candidates, rules))


def _apply(run: "Run", candidates: Sequence[Candidate], steps: int) -> Outcome:
    """Bring the redeemables into their order, and apply them in it."""
    rules, categories = run.snapshot.stacking_rules, run.snapshot.categories
    groups = sorted_groups(candidates, rules, categories)
    ordered = [candidate for group in groups for candidate in group]
    search = None
    if seeks_best_deal(candidates, rules) and run.cart is not None:
        ordered, search = _best(run, groups, steps)
    for candidate in ordered:
        run.take(candidate)
    return Outcome(run.steps, run.cart, run.is_valid, search)


def _best(
    run: "Run", groups: Sequence[Sequence[Candidate]], steps: int
) -> tuple[list[Candidate], str]:
    candidates = [candidate for group in groups for candidate in group]
    places: list[list[int]] = []
    for group in groups:
        first = sum(map(len, places))
        places.append(list(range(first, first + len(group))))
    assert run.cart is not None, "without an order there is nothing to gain"
    trials_max = trials_of(steps, len(candidates), len(run.cart.lines))
    likely = [
        [place for group in places for place in group],
        [place for group in places for place in sorted(group, key=lambda n: _rank(candidates[n]))],
    ]
    run.is_trial = True
    found = best_order(_Trial(run, candidates), places, likely, trials_max)
    run.is_trial = False
    return [candidates[index] for index in found.order], found.search


_RANKS = {"PERCENT": 0, "FIXED": 1, "UNIT": 1, "AMOUNT": 2}
_LAST = 3


def _rank(candidate: Candidate) -> tuple[int, bool, float]:
    """Percentages first, of as much as possible; then amounts; credits pay for what is left.

    Of equal kinds those on the order first: they leave the lines, of which the others take, as they are.
    """
    code = candidate.code
    discount = (code.definition.discount if code is not None else None) or {}
    rank = _RANKS.get(str(discount.get("type")), _LAST)
    is_on_order = code is not None and discount_effect(code) == "APPLY_TO_ORDER"
    return rank, not is_on_order, -float(discount.get("percent_off") or 0)


class Saved(NamedTuple):
    """Where a run is, for going back."""

    cart: State | None
    amounts: dict[str, int]
    counts: Counts
    seen: frozenset[str]
    steps: tuple[Step, ...]
    has_refused: bool


class Run:
    """The state of one run through a stack."""

    def __init__(
        self, snapshot: Snapshot, cart: Cart | None, *, has_exclusive: bool, must_suffice: bool
    ) -> None:
        self.snapshot = snapshot
        self.cart = cart
        self.admission = Admission(snapshot.stacking_rules, has_exclusive=has_exclusive)
        self.must_suffice = must_suffice
        self.is_trial = False
        """Whether only what things are worth matters, not how they are shown."""
        self.is_explaining = must_suffice and _is_explaining(snapshot)
        self.explained_rules_max = limits.EXPLAINED_RULES_OF_OFFER_MAX
        self.heard: list[Heard] = []
        self.checks: list[JsonObject] = []
        self.claimed = Claimed(snapshot.accounts)
        self.is_told_what_is_left = bool(snapshot.accounts.available)
        """The ledger itself said what accounts have, those without a limit of ours among them."""
        self.steps: list[Step] = []
        self.seen: set[str] = set()
        self.has_refused = False
        self.needs_all = snapshot.stacking_rules["redeemables_application_mode"] == "ALL"
        self.is_once = is_once(snapshot.stacking_rules)
        customer = snapshot.customer
        self.customer_id = customer.id if customer else None
        self.facts = Facts(
            now=snapshot.now,
            cart=cart,
            customer=customer.shown if customer else None,
            segments=snapshot.segments,
            metadata=snapshot.request.metadata,
            api_key_id=snapshot.api_key_id,
            holders=snapshot.holders,
            first_day_of_week=snapshot.first_day_of_week,
            publications=snapshot.publications,
        )

    @property
    def has_failed(self) -> bool:
        """Whether a redeemable was refused where all must apply."""
        return self.needs_all and self.has_refused

    @property
    def is_valid(self) -> bool:
        """Whether the stack as a whole may be redeemed."""
        return not self.has_failed and any(step.priced is not None for step in self.steps)

    def save(self) -> Saved:
        """Return where the run is."""
        return Saved(
            self.cart.state if self.cart is not None else None,
            dict(self.claimed.amounts),
            self.admission.save(),
            frozenset(self.seen),
            tuple(self.steps),
            self.has_refused,
        )

    def restore(self, saved: Saved) -> None:
        """Go back to where the run was."""
        if self.cart is not None and saved.cart is not None:
            self.cart.state = saved.cart
        self.claimed.amounts = dict(saved.amounts)
        self.admission.restore(saved.counts)
        self.seen = set(saved.seen)
        self.steps = list(saved.steps)
        self.has_refused = saved.has_refused

    def take(self, candidate: Candidate) -> None:
        """Take the next redeemable."""
        step = Step(candidate)
        self.steps.append(step)
        code = candidate.code
        if self.needs_all and self.has_refused:
            step.skipped = "preceding_validation_failed"
        elif code is None:
            step.error = _not_found(step.redeemable)
        else:
            recipe = recipe_of(code)
            way = self.admission.ways[recipe.category_id]
            step.skipped = self.admission.reason_to_skip(way)
            if step.skipped is None:
                attempt = self._try_and_tell if self.is_explaining else self._try
                attempt(step, code, recipe, way)
        if step.error is not None:
            self.has_refused = True

    def _try_and_tell(self, step: Step, code: Code, recipe: Recipe, way: Way) -> None:
        """Apply a redeemable, and tell what was looked at."""
        cart, is_told = self.cart, not self.is_trial
        before = amounts_of(cart) if is_told and cart is not None else None
        self.heard, self.checks = [], []
        self._try(step, code, recipe, way)
        if is_told:
            after = amounts_of(cart) if cart is not None else None
            most = self.explained_rules_max
            step.explanation = explanation(self.checks, self.heard, before, after, most)

    def _try(self, step: Step, code: Code, recipe: Recipe, way: Way) -> None:
        """Apply a redeemable; one that does not apply leaves no trace in the order."""
        cart = self.cart
        if cart is not None:
            cart.before = cart.state
        try:
            step.error = self._apply(step, code, recipe, way)
        except Refused as refused:
            step.error = refused.refusal
        if step.priced is None:
            if step.error is not None and not self.is_trial:
                step.bundle = self._bundle(code)
            if cart is not None:
                cart.state = cart.before

    def _apply(self, step: Step, code: Code, recipe: Recipe, way: Way) -> Refusal | None:
        """Check a redeemable, price it, and write down what it takes; return why it does not apply."""
        code_id, facts, cart = code.id, self.facts, self.cart
        if code_id in self.seen:
            return Refusal("duplicated_redeemables", code.code)
        self.seen.add(code_id)
        facts.redeemable_id = code_id
        facts.is_initial_base = way.is_initial_base
        if self.is_once:
            facts.closed_lines = closed_lines(cart)
        refused = self._check(code, recipe)
        if refused is not None:
            return refused
        verdicts = self._verdicts(code) if recipe.has_limits or recipe.asks_after else []
        priced = self._price(step.redeemable, code, recipe)
        if recipe.asks_after:
            verdicts = self._check_again(step, code, verdicts, priced)
        taken = cart.step_total if cart is not None else 0
        if not taken and way.skips_without_effect and cart is not None:
            step.skipped = "no_effect"
            return None
        if priced.claims or priced.credits or recipe.has_limits:
            step.other_claims = self._other_claims(code, recipe, priced, verdicts)
        self.claimed.add(code.uses_account, 1)
        for claim in step.other_claims:
            self.claimed.add(claim.account, claim.amount)
        self.admission.count(way)
        step.priced, step.taken = priced, taken
        if cart is not None:
            step.amounts = (cart, cart.state, cart.before)
        return None

    def _bundle(self, code: Code) -> JsonObject | None:
        if self.cart is None:
            return None
        bundle = bundle_of(code.rules, self.cart)
        return bundle_json(bundle, self.cart.lines) if bundle is not None else None

    def shown_order(self) -> Moment | None:
        """Return the order as it is now; None where there is none."""
        cart = self.cart
        return Moment(cart, cart.state, cart.before) if cart is not None else None

    def _check(self, code: Code, recipe: Recipe) -> Refusal | None:
        """Return why the code may not be used, before anything is priced."""
        error = None
        if recipe.may_be_closed or not code.is_active:
            error = validity.check(code, self.snapshot.now)
        if self.is_explaining:
            self._tell(code, recipe, error)
        if error is not None:
            return error
        may_lack = self.must_suffice and (recipe.quantity is not None or self.is_told_what_is_left)
        if may_lack and not self.claimed.has_room(code.uses_account, recipe.quantity, 1):
            return use_of(code).error
        for judge in recipe.judges:
            violation = judge(self.facts)
            if violation is not None:
                return violated(code, violation)
        return None

    def _tell(self, code: Code, recipe: Recipe, error: Refusal | None) -> None:
        self._note("validity", error is None)
        if error is not None:
            return
        limit = recipe.quantity
        left = self.claimed.left(code.uses_account, limit)
        self._note("uses", left is None or left > 0, {"limit": limit, "left": left})
        is_used_up = self.must_suffice and left is not None and left < 1
        if not self.is_trial and not is_used_up:
            self.heard = self._hear(code)

    def _note(self, name: str, result: bool, found: JsonObject | None = None) -> None:
        shown = {"name": name, "result": result}
        self.checks.append(shown if found is None else {**shown, "input": found})

    def _hear(self, code: Code) -> list[Heard]:
        facts, subject = self.facts, subject_of(code, self.customer_id, self.facts)

        def left_of(limit: Limit) -> int | None:
            return self.claimed.left(limit.account(subject), limit.bound)

        return [hear(rule, verdicts_of(rule, facts), facts, left_of) for rule in code.rules]

    def _verdicts(self, code: Code) -> list[Verdicts]:
        """Return what every rule says."""
        return [verdicts_of(rule, self.facts) for rule in code.rules]

    def _check_again(
        self, step: Step, code: Code, verdicts: Sequence[Verdicts], priced: Priced
    ) -> list[Verdicts]:
        """Ask the rules that look at what pricing did."""
        points = (step.redeemable.sent.get("reward") or {}).get("points")
        spent = Spent(priced.credits, points if isinstance(points, int) else None)
        pairs = zip(code.rules, verdicts, strict=True)
        found = [verdicts_after(rule, said, self.facts, spent) for rule, said in pairs]
        self.heard = [
            one.after(said, self.facts, spent)
            for one, said in zip(self.heard, found, strict=bool(self.heard))
        ]
        for rule, said in zip(code.rules, found, strict=True):
            violation = violation_of(rule, said)
            if violation is not None:
                raise Refused(violated(code, violation))
        return found

    def _price(self, redeemable: Redeemable, code: Code, recipe: Recipe) -> Priced:
        if recipe.on_whole_lines is not None:
            return apply_to_whole_lines(code, recipe, self.facts, recipe.on_whole_lines)
        counters = Counters(code, self.customer_id, self.claimed, is_certain=self.must_suffice)
        if recipe.is_discount:
            return apply_discount(code, recipe, self.facts, counters)
        if code.definition.type == "GIFT_VOUCHER":
            balance, must_suffice = self.balance(code), self.must_suffice
            return apply_gift(
                code, recipe, redeemable, self.facts, balance, counters, must_suffice=must_suffice
            )
        details = "Loyalty cards cannot be redeemed here"
        raise Refused(
            Refusal("invalid_voucher", details, resource_id=code.id, resource_type=code.object)
        )

    def balance(self, code: Code) -> int:
        """Return the card's credits by our view.

        A plan does not trust an empty card unless the ledger said so: it asks for what the order costs,
        and the ledger hands the plan back with what there is.
        """
        account = account_of_credits(code.id)
        left = self.claimed.left(account, int((code.definition.gift or {}).get("amount") or 0))
        assert left is not None, "a card's credits are always limited"
        is_certain = self.must_suffice or account in self.snapshot.accounts.available
        if left <= 0 and not is_certain and self.cart is not None:
            return self.cart.total
        return max(0, left)

    def _other_claims(
        self, code: Code, recipe: Recipe, priced: Priced, verdicts: Sequence[Verdicts]
    ) -> Sequence[Claim]:
        """Return what the redeemable takes besides one use; raises ``Refused`` where there is too little."""
        claims = priced.claims
        if priced.credits:
            credit = credits_of(code, priced.credits, is_adjustable=priced.is_adjustable)
            claims = [*claims, credit]
        if recipe.has_limits:
            limited = limits_of(code, verdicts, self.facts, self.customer_id, self.claimed)
            claims = [*claims, *limited]
        if self.must_suffice:
            for claim in claims:
                if not self.claimed.has_room(claim.account, claim.limit, claim.amount):
                    raise Refused(claim.error)
        return claims


def _is_explaining(snapshot: Snapshot) -> bool:
    asked = snapshot.request.options.get("explain")
    if asked is not None and not isinstance(asked, bool):
        raise refuse("options.explain", "must be true or false")
    return asked is True


def _not_found(redeemable: Redeemable) -> Refusal:
    return Refusal(
        "not_found",
        f"Cannot find {redeemable.object} with id {redeemable.id}",
        resource_id=redeemable.id,
        resource_type=redeemable.object,
    )


class _Trial:
    """A run as the search for the best deal sees it."""

    def __init__(self, run: Run, candidates: Sequence[Candidate]) -> None:
        self.run = run
        self.candidates = candidates

    def take(self, index: int) -> None:
        self.run.take(self.candidates[index])

    def save(self) -> Saved:
        return self.run.save()

    def restore(self, saved: Saved) -> None:
        self.run.restore(saved)

    @property
    def worth(self) -> Worth:
        applied = [step for step in self.run.steps if step.priced is not None]
        deal = sum(
            step.taken
            for step in applied
            if step.priced is not None and step.priced.credits is None
        )
        return Worth(self.run.is_valid, deal, sum(step.taken for step in applied))

    @property
    def is_dead(self) -> bool:
        return self.run.has_failed

    @property
    def state(self) -> Hashable:
        run = self.run
        applied = frozenset(step.place for step in run.steps if step.priced is not None)
        cart = run.cart.state.frozen() if run.cart is not None else None
        return applied, cart, frozenset(run.claimed.amounts.items())
