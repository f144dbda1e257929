"""Caps on discounted units across redemptions: the ledger counts them, units beyond a cap are not discounted.

By our view of the accounts the engine decides how many units are discounted and posts them. The posting
is adjustable: if less is left than the view said, the ledger hands the plan back with the right number.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from contracts import accounts
from engine.domain.applicable import Entry
from engine.domain.claims import Claim, Claimed
from engine.domain.definition import Code
from engine.domain.effects.targets import Target
from engine.domain.formulas import Asked
from engine.domain.order import Line
from engine.domain.refusals import Refusal, Refused


class Counters:
    """The counters of one code in one request."""

    def __init__(
        self, code: Code, customer_id: str | None, claimed: Claimed, *, is_certain: bool
    ) -> None:
        self.code = code
        self.customer_id = customer_id
        self.claimed = claimed
        self.is_certain = is_certain
        """Our view is all there is; a plan asks the ledger before it believes that nothing is left."""
        self.limits: dict[str, int] = {}

    @property
    def redeemed_quantity(self) -> int:
        """How often the code was redeemed by our view, this request included."""
        name = self.code.uses_account
        seen = self.claimed.accounts.seen.get(name)
        return (seen.used if seen is not None else 0) + self.claimed.amounts.get(name, 0)

    def left_of(self, asked: Asked) -> Callable[[Entry, Line], Mapping[str, int]]:
        """Return the function that says what is left of each counter of an entry for a line."""

        def left(entry: Entry, line: Line) -> Mapping[str, int]:
            return dict(self._left(asked, entry, line)) if entry.counters else {}

        return left

    def _left(self, asked: Asked, entry: Entry, line: Line) -> Iterable[tuple[str, int]]:
        for name, value in entry.counters.items():
            account = account_of(
                name, entry, line.product_id or line.sku_id, self.code, self.customer_id
            )
            if account is None:
                continue
            limit = asked.on(line).quantity(value)
            limit = min(limit, self.limits.get(account, limit))
            self.limits[account] = limit
            left = self.claimed.left(account, limit)
            assert left is not None, "a counter always has a limit"
            is_known = self.is_certain or account in self.claimed.accounts.available
            yield account, limit if left <= 0 and not is_known else max(0, left)

    def claims(self, targets: Sequence[Target]) -> list[Claim]:
        """Return what was discounted, by account."""
        units: dict[str, int] = {}
        for target in targets:
            product_id = target.line.product_id or target.line.sku_id
            for name in target.entry.counters:
                account = account_of(name, target.entry, product_id, self.code, self.customer_id)
                if account is not None:
                    units[account] = units.get(account, 0) + target.units
        return [self._claim(account, count) for account, count in units.items() if count]

    def _claim(self, account: str, count: int) -> Claim:
        code = self.code
        return Claim(
            account,
            "quantity",
            count,
            self.limits[account],
            code.rules_version,
            Refusal("quantity_exceeded", code.code, resource_id=code.id, resource_type=code.object),
            is_adjustable=True,
        )


def account_of(
    counter: str, entry: Entry, product_id: str | None, code: Code, customer_id: str | None
) -> str | None:
    """Return the account of a counter; None where it does not concern the code."""
    is_of_tier = "promotion_tier" in counter
    if is_of_tier and not code.is_tier:
        return None
    subject = code.id if is_of_tier else code.campaign_id or code.id
    names = [entry.id]
    if "in_collection" in counter:
        names.append(product_id or "")
    if "customer" not in counter:
        return accounts.account("tier-items" if is_of_tier else "campaign-items", subject, *names)
    if customer_id is None:
        raise Refused(
            Refusal(
                "missing_customer",
                "Customer is required to count discounted units",
                resource_id=code.id,
                resource_type=code.object,
            )
        )
    return accounts.account("customer-items", subject, customer_id, *names)


def accounts_of(code: Code, customer_id: str | None, product_ids: Iterable[str]) -> Iterable[str]:
    """Yield the accounts that the code's counters may touch in an order of these products."""
    products = tuple(product_ids)
    for rule in code.rules:
        entries = rule.applicability.entries if rule.applicability is not None else ()
        for entry in entries:
            for counter in entry.counters:
                if "customer" in counter and customer_id is None:
                    continue
                named = products if "in_collection" in counter else ("",)
                for product_id in named:
                    account = account_of(counter, entry, product_id, code, customer_id)
                    if account is not None:
                        yield account
