"""Which webhook events each endpoint has to get for what the logs say, told here again, plainly."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from contracts.campaigns import VoucherCreated, VoucherDisabled, VoucherEnabled, VoucherUpdated
from contracts.ledger import (
    BalanceAdjusted,
    RedemptionFailed,
    RedemptionRolledBack,
    RedemptionSucceeded,
    RollbackFailed,
)
from contracts.messages import Envelope, Event
from tests.sim.store import Row

ENDPOINTS = {"all": ["*"], "redemptions": ["redemption.*"]}
"""What each endpoint of a project wants."""
CREDITS = "voucher.gift.transaction.created"
SIMPLE: dict[type[Event], str] = {
    VoucherCreated: "voucher.created",
    VoucherUpdated: "voucher.updated",
    VoucherEnabled: "voucher.enabled",
    VoucherDisabled: "voucher.disabled",
    RedemptionFailed: "redemption.failed",
    RollbackFailed: "redemption.rollback.failed",
}


def _named(event: Event) -> Iterator[str]:
    """Yield the name of each webhook event that the event leads to."""
    if type(event) in SIMPLE:
        yield SIMPLE[type(event)]
    elif isinstance(event, BalanceAdjusted):
        yield CREDITS
        if event.amount > 0:
            yield "voucher.gift.balance_added"
    elif isinstance(event, RedemptionSucceeded | RedemptionRolledBack):
        name, parent = (
            ("redemption.succeeded", event.parent_id)
            if isinstance(event, RedemptionSucceeded)
            else ("redemption.rollback.succeeded", event.parent_rollback_id)
        )
        yield from [name] * (len(event.items) + (parent is not None))
        credited = [one for item in event.items for one in item.posted if one.unit == "credit"]
        yield from [CREDITS] * len(credited)


def differences(
    log: Iterable[tuple[Event, Envelope]], hooks: Iterable[Row], deliveries: Sequence[Row]
) -> list[str]:
    """Return which deliveries there are too many or too few of."""
    wanted: Counter[tuple[str, ...]] = Counter()
    for event, envelope in log:
        for name in _named(event):
            for endpoint, (pattern,) in ENDPOINTS.items():
                if pattern == "*" or name.startswith(pattern.removesuffix("*")):
                    wanted[envelope.project_id, endpoint, envelope.id, name] += 1
    by_id = {(row["project_id"], row["hook_id"]): row for row in hooks}
    found: Counter[tuple[str, ...]] = Counter()
    for row in deliveries:
        hook = by_id[row["project_id"], row["hook_id"]]
        endpoint = row["endpoint_id"].partition("-")[0]
        found[row["project_id"], endpoint, hook["event_id"], hook["name"]] += 1
    return [
        f"{' '.join(key)}: {found[key]} deliveries, not {wanted[key]}"
        for key in sorted(wanted | found)
        if wanted[key] != found[key]
    ]
