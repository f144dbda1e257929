"""What an event of the platform is to the outside: webhook events, by name and payload.

Payloads have the shapes of the public API's webhook schemas. ``MAPPED`` and ``IGNORED`` together name
every event there is: a new one must be put into one of them (a test says so).
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from contracts import (
    campaigns,
    catalog,
    customers,
    distribution,
    gateway,
    ledger,
    promotions,
    public,
    webhooks,
)
from contracts import ids as ids_of
from contracts.campaigns import Campaign, ValidationRule, Voucher
from contracts.errors import JsonObject
from contracts.messages import Event
from contracts.vouchers import effective_definition

SIMPLE_CAMPAIGN = [
    "id",
    "name",
    "campaign_type",
    "type",
    "is_referral_code",
    "voucher",
    "referral_program",
    "auto_join",
    "join_once",
    "active",
    "category_id",
    "categories",
    "metadata",
    "start_date",
    "expiration_date",
    "description",
    "created_at",
    "updated_at",
    "object",
]
SIMPLE_VOUCHER = [
    "id",
    "code",
    "gift",
    "discount",
    "loyalty_card",
    "type",
    "campaign",
    "campaign_id",
    "is_referral_code",
    "holder_id",
    "category_id",
    "categories",
    "active",
    "created_at",
    "updated_at",
    "redemption",
    "start_date",
    "expiration_date",
    "metadata",
    "object",
]
SIMPLE_ORDER = [
    "id",
    "source_id",
    "status",
    "customer_id",
    "referrer_id",
    "amount",
    "discount_amount",
    "applied_discount_amount",
    "items_discount_amount",
    "items_applied_discount_amount",
    "total_discount_amount",
    "total_applied_discount_amount",
    "total_amount",
    "items",
    "metadata",
    "object",
]
SIMPLE_REDEMPTION = [
    "id",
    "customer_id",
    "tracking_id",
    "date",
    "amount",
    "order",
    "customer",
    "result",
    "status",
    "voucher",
    "promotion_tier",
    "redemption",
    "metadata",
    "failure_code",
    "failure_message",
    "reason",
    "channel",
    "object",
]
EVENT_TYPES = {
    "redemption.succeeded": "customer.redemption.succeeded",
    "redemption.failed": "customer.redemption.failed",
    "redemption.rollback.succeeded": "customer.redemption.rollback.succeeded",
    "redemption.rollback.failed": "customer.redemption.rollback.failed",
    "publication.succeeded": "customer.publication.succeeded",
    "voucher.gift.balance_added": "customer.voucher.gift.balance_added",
}
"""What the payload calls its cause, where that is not the webhook event's own name."""


class Hook(NamedTuple):
    """One webhook event: its public name, the thing it is about, and its payload."""

    name: str
    entity_id: str
    data: JsonObject


class Known(NamedTuple):
    """What was told before and is needed to say the rest."""

    project_id: str
    campaigns: Mapping[str, Campaign]
    rules: Mapping[str, ValidationRule]


class NotYetKnown(Exception):
    """The event belongs to something that has not been told of yet; it will be in a moment."""


Render = Callable[[Any, Known], Iterator[Hook]]


def _json(event: Event) -> JsonObject:
    return event.model_dump(mode="json")


def _only(shown: JsonObject | None, names: list[str]) -> JsonObject | None:
    return None if shown is None else {name: shown[name] for name in names if name in shown}


# -- campaigns and vouchers ---------------------------------------------------------------------


def _campaign(known: Known, campaign_id: str | None) -> Campaign | None:
    """Return the campaign, without which a voucher cannot be shown."""
    if campaign_id is None:
        return None
    if campaign_id not in known.campaigns:
        raise NotYetKnown(campaign_id)
    return known.campaigns[campaign_id]


def _simple_campaign(known: Known, campaign_id: str | None) -> JsonObject | None:
    if campaign_id is None:
        return None
    campaign = known.campaigns.get(campaign_id)
    if campaign is None:
        return {"id": campaign_id, "object": "campaign"}
    return _only(public.campaign(campaign.model_dump(mode="json")), SIMPLE_CAMPAIGN)


def on_campaign(name: str, *dates: str) -> Render:
    def render(event: Any, known: Known) -> Iterator[Hook]:
        del known
        shown = public.campaign(event.campaign.model_dump(mode="json"))
        yield Hook(name, event.campaign.id, {"campaign": shown, **_of(shown, dates)})

    return render


def _of(shown: JsonObject, dates: tuple[str, ...]) -> JsonObject:
    return {name: shown.get(name) for name in dates}


def on_generation(name: str, count_of: str, at: str) -> Render:
    def render(event: Any, known: Known) -> Iterator[Hook]:
        data: JsonObject = {
            "campaign": _simple_campaign(known, event.campaign_id),
            "count": getattr(event, count_of),
            at: public.instant(getattr(event, at)),
        }
        yield Hook(name, event.campaign_id, data)

    return render


def on_generated(event: campaigns.VouchersGenerated, known: Known) -> Iterator[Hook]:
    """A slice of codes: one ``voucher.created`` each, made one at a time."""
    campaign = _campaign(known, event.campaign_id)
    assert campaign is not None, "generated codes have a campaign"
    shown = _simple_campaign(known, event.campaign_id)
    for code in event.codes:
        voucher = Voucher(
            id=ids_of.voucher_id(known.project_id, code),
            code=code,
            campaign_id=campaign.id,
            definition=event.definition,
            created_at=event.generated_at,
        )
        data = {"voucher": _voucher(voucher, campaign, is_new=True), "campaign": shown}
        yield Hook("voucher.created", voucher.id, data)


def on_voucher(name: str) -> Render:
    def render(event: Any, known: Known) -> Iterator[Hook]:
        voucher: Voucher = event.voucher
        campaign = _campaign(known, voucher.campaign_id)
        is_new = name == "voucher.created"
        shown = _simple_campaign(known, voucher.campaign_id)
        data = {"voucher": _voucher(voucher, campaign, is_new=is_new), "campaign": shown}
        yield Hook(name, voucher.id, data)
        if is_new and campaign is not None:
            added = {"campaign": shown, "vouchers": [voucher.code], "count": 1}
            yield Hook("campaign.vouchers.added", campaign.id, added)

    return render


def _voucher(voucher: Voucher, campaign: Campaign | None, *, is_new: bool) -> JsonObject:
    definition = effective_definition(voucher, campaign)
    shown = public.voucher(
        voucher.model_dump(mode="json"),
        definition.model_dump(mode="json"),
        campaign_name=campaign.name if campaign else None,
        balances={},
    )
    if not is_new:
        # Uses, balance and holder are the ledger's and distribution's: not told is better than wrong.
        for name in ("redeemed_quantity", "redeemed_amount"):
            shown["redemption"].pop(name, None)
        for name in ("balance", "subtracted_amount"):
            (shown.get("gift") or {}).pop(name, None)
        shown["publish"].pop("count", None)
        shown.pop("holder_id", None)
    return shown


def on_rule(name: str, moment: str) -> Render:
    def render(event: Any, known: Known) -> Iterator[Hook]:
        del known
        shown = public.validation_rule(event.rule.model_dump(mode="json"))
        yield Hook(name, event.rule.id, {"rule": shown, moment: shown[moment]})

    return render


def on_rule_deleted(event: campaigns.ValidationRuleDeleted, known: Known) -> Iterator[Hook]:
    rule = known.rules.get(event.rule_id)
    if rule is None:
        raise NotYetKnown(event.rule_id)
    data = {"rule": public.validation_rule(rule.model_dump(mode="json"))}
    yield Hook("business_validation_rule.deleted", event.rule_id, data)


def on_assignment(name: str, count: int) -> Render:
    """``count`` is how often a rule with this one assignment is assigned after the event."""

    def render(event: Any, known: Known) -> Iterator[Hook]:
        assignment = event.assignment
        rule = known.rules.get(assignment.rule_id)
        if rule is None:
            raise NotYetKnown(assignment.rule_id)
        data: JsonObject = {
            "rule": public.validation_rule(rule.model_dump(mode="json"), count),
            "assignment": public.assignment(assignment.model_dump(mode="json")),
        }
        if assignment.related_object_type == "campaign":
            data["campaign"] = _simple_campaign(known, assignment.related_object_id)
        yield Hook(name, assignment.id, data)

    return render


# -- promotions ---------------------------------------------------------------------------------

SIMPLE_TIER = ["id", "name", "banner", "campaign", "metadata"]
SIMPLE_STACK = ["id", "name", "category_id", "tiers"]


def on_tier(name: str, *dates: str) -> Render:
    def render(event: Any, known: Known) -> Iterator[Hook]:
        campaign_id = event.tier.campaign_id
        campaign = _campaign(known, campaign_id)
        state = campaign.model_dump(mode="json") if campaign is not None else None
        shown = public.promotion_tier(event.tier.model_dump(mode="json"), state)
        data = {"campaign": _simple_campaign(known, campaign_id), "promotion_tier": shown}
        yield Hook(name, event.tier.id, {**data, **_of(shown, dates)})

    return render


def on_stack(name: str, *dates: str) -> Render:
    def render(event: Any, known: Known) -> Iterator[Hook]:
        shown = public.promotion_stack(event.stack.model_dump(mode="json"))
        stack = _only(shown, SIMPLE_STACK) or {}
        stack["campaign"] = {"id": event.stack.campaign_id}
        campaign = _simple_campaign(known, event.stack.campaign_id)
        data = {"campaign": campaign, "promotion_stack": stack}
        yield Hook(name, event.stack.id, {**data, **_of(shown, dates)})

    return render


def _simple_tier(tier: JsonObject | None) -> JsonObject | None:
    shown = _only(tier, SIMPLE_TIER)
    if shown is not None and shown.get("campaign"):
        shown["campaign"] = {"id": shown["campaign"].get("id")}
    return shown


# -- customers ----------------------------------------------------------------------------------


def on_customer(name: str) -> Render:
    def render(event: Any, known: Known) -> Iterator[Hook]:
        del known
        shown = public.customer(event.customer.model_dump(mode="json"))
        if name != "customer.created":
            # What redemptions came to is the ledger's: not told is better than wrong.
            for part in ("summary", "loyalty", "referrals"):
                shown.pop(part, None)
        yield Hook(name, event.customer.id, {"customer": shown})

    return render


# -- redemptions --------------------------------------------------------------------------------


def _redemption_data(
    known: Known, told: JsonObject, redemption: JsonObject, item: JsonObject
) -> JsonObject:
    voucher = item.get("voucher")
    campaign_id = item.get("campaign_id")
    return {
        "customer": public.customer_reference(told.get("customer")),
        "order": _only(redemption.get("order"), SIMPLE_ORDER),
        "campaign": _simple_campaign(known, campaign_id),
        "voucher": _only(voucher, SIMPLE_VOUCHER),
        "holder": None,
        "promotion_tier": _simple_tier(item.get("promotion_tier")),
        "promotion_stack": item.get("promotion_stack"),
        "redemption": _only(redemption, SIMPLE_REDEMPTION),
    }


def on_redemption_succeeded(event: ledger.RedemptionSucceeded, known: Known) -> Iterator[Hook]:
    """One for each redeemable, and one for the parent of a stack."""
    told = _json(event)
    shown = public.redemptions(known.project_id, told)
    parent = public.parent_redemption(known.project_id, told)
    pairs: list[tuple[JsonObject, JsonObject]] = [(parent, {})] if parent is not None else []
    for redemption, item in [*pairs, *zip(shown, told["items"], strict=True)]:
        data = _redemption_data(known, told, redemption, item)
        data["created_at"] = public.instant(event.redeemed_at)
        yield Hook("redemption.succeeded", redemption["id"], data)
        yield from _transactions(
            known, redemption, item, "CREDITS_REDEMPTION", event.redeemed_at, data
        )


def on_redemption_failed(event: ledger.RedemptionFailed, known: Known) -> Iterator[Hook]:
    told = _json(event)
    shown = public.failed_redemption(known.project_id, told)
    refused = told.get("refused") or {}
    voucher, tier = refused.get("voucher"), refused.get("promotion_tier")
    campaign_id = (voucher or tier or {}).get("campaign_id")
    item = {"voucher": voucher, "promotion_tier": tier, "campaign_id": campaign_id}
    data = _redemption_data(known, told, shown, item)
    data["created_at"] = public.instant(event.failed_at)
    yield Hook("redemption.failed", shown["id"], data)


def on_rolled_back(event: ledger.RedemptionRolledBack, known: Known) -> Iterator[Hook]:
    """One for each redemption that was given back, and one for the parent of a stack."""
    told = _json(event)
    shown = public.rollbacks(known.project_id, told)
    parent = public.parent_rollback(known.project_id, told)
    pairs: list[tuple[JsonObject, JsonObject]] = [(parent, {})] if parent is not None else []
    for rollback, item in [*pairs, *zip(shown, told["items"], strict=True)]:
        data = _redemption_data(known, told, rollback, item)
        data["redemption_rollback"] = data["redemption"]
        data["redemption"] = {"id": rollback["redemption"], "object": "redemption"}
        yield Hook("redemption.rollback.succeeded", rollback["id"], data)
        yield from _transactions(
            known, rollback, item, "CREDITS_REFUND", event.rolled_back_at, data
        )


def on_rollback_failed(event: ledger.RollbackFailed, known: Known) -> Iterator[Hook]:
    told = _json(event)
    shown = public.failed_rollback(known.project_id, told)
    data = _redemption_data(known, told, shown, {})
    data["redemption_rollback"] = data["redemption"]
    data["redemption"] = {"id": event.redemption_id, "object": "redemption"}
    yield Hook("redemption.rollback.failed", shown["id"], data)


# -- gift cards ---------------------------------------------------------------------------------


def on_adjusted(event: ledger.BalanceAdjusted, known: Known) -> Iterator[Hook]:
    if event.unit != "credit":
        return
    kind = "CREDITS_ADDITION" if event.amount > 0 else "CREDITS_REMOVAL"
    transaction = {
        **_transaction(
            event.transaction_id,
            kind,
            event.voucher,
            event.adjusted_at,
            event.amount,
            event.available,
        ),
        "source_id": event.source_id,
        "reason": event.reason,
    }
    data = {
        "voucher": _only(event.voucher, SIMPLE_VOUCHER),
        "balance": public.balance_update(_json(event)),
        "campaign": _simple_campaign(known, event.voucher.get("campaign_id")),
        "transaction": transaction,
    }
    if event.amount > 0:
        yield Hook("voucher.gift.balance_added", str(event.voucher["id"]), data)
    yield Hook("voucher.gift.transaction.created", event.transaction_id, {**data, "holder": None})


def _transactions(
    known: Known,
    redemption: JsonObject,
    item: JsonObject,
    kind: str,
    at: datetime,
    data: JsonObject,
) -> Iterator[Hook]:
    """The credits that a redemption took, or a rollback gave back."""
    for number, posted in enumerate(item.get("posted") or ()):
        if posted["unit"] != "credit":
            continue
        own = redemption["id"].partition("_")[2] or redemption["id"]
        is_rollback = redemption["object"] == "redemption_rollback"
        transaction_id = f"vtx_{own}{number or ''}{'b' if is_rollback else ''}"
        voucher = item.get("voucher") or {}
        amount, balance = -posted["amount"], posted.get("available")
        transaction = _transaction(transaction_id, kind, voucher, at, amount, balance)
        told = {
            "transaction": transaction,
            "voucher": _only(item.get("voucher"), SIMPLE_VOUCHER),
            "campaign": _simple_campaign(known, item.get("campaign_id")),
            "holder": None,
            "balance": transaction["details"]["balance"],
            "order": data["order"],
            "redemption": data["redemption"],
            "rollback": data.get("redemption_rollback"),
        }
        yield Hook("voucher.gift.transaction.created", transaction_id, told)


def _transaction(
    transaction_id: str,
    kind: str,
    voucher: JsonObject,
    at: datetime,
    amount: int,
    balance: int | None,
) -> JsonObject:
    """Return a transaction as the API lists it."""
    return {
        "id": transaction_id,
        "source_id": None,
        "voucher_id": voucher.get("id"),
        "campaign_id": voucher.get("campaign_id"),
        "source": None,
        "reason": None,
        "type": kind,
        "details": {
            "balance": {
                "type": "gift_voucher",
                "total": balance,
                "object": "balance",
                "amount": amount,
                "balance": balance,
                "operation_type": "MANUAL" if kind.endswith(("ADDITION", "REMOVAL")) else kind,
                "related_object": {"id": voucher.get("id"), "type": "voucher"},
            }
        },
        "related_transaction_id": None,
        "created_at": public.instant(at),
    }


# -- publications -------------------------------------------------------------------------------


def on_published(event: distribution.PublicationSucceeded, known: Known) -> Iterator[Hook]:
    """One for the publication, and one for each of its vouchers."""
    state = event.publication.model_dump(mode="json")
    shown = public.publication(known.project_id, state)
    campaign = _simple_campaign(known, event.publication.campaign_id)
    customer = public.customer_reference(state["customer"])
    for name in ("voucher", "vouchers"):
        shown.pop(name, None)
    vouchers = [_only(voucher, SIMPLE_VOUCHER) for voucher in state["vouchers"]]
    data = {
        "customer": customer,
        "campaign": campaign,
        "publication": shown,
        "voucher": vouchers[0] if vouchers else None,
    }
    yield Hook("publication.succeeded", event.publication.id, data)
    for voucher in vouchers:
        assert voucher is not None, "a publication names its vouchers"
        told = {**data, "voucher": voucher, "created_at": shown["created_at"]}
        yield Hook("voucher.published", str(voucher["id"]), told)


# -- the tables ---------------------------------------------------------------------------------


class Mapped(NamedTuple):
    """The names that an event may lead to, and how."""

    names: frozenset[str]
    render: Render


def _mapped(render: Render, *names: str) -> Mapped:
    return Mapped(frozenset(names), render)


MAPPED: Mapping[type[Event], Mapped] = {
    campaigns.CampaignCreated: _mapped(
        on_campaign("campaign.created", "created_at"), "campaign.created"
    ),
    campaigns.CampaignUpdated: _mapped(
        on_campaign("campaign.updated", "updated_at"), "campaign.updated"
    ),
    campaigns.CampaignEnabled: _mapped(on_campaign("campaign.enabled"), "campaign.enabled"),
    campaigns.CampaignDisabled: _mapped(on_campaign("campaign.disabled"), "campaign.disabled"),
    campaigns.VouchersGenerationStarted: _mapped(
        on_generation("campaign.vouchers.generation.started", "total", "started_at"),
        "campaign.vouchers.generation.started",
    ),
    campaigns.VouchersGenerationCompleted: _mapped(
        on_generation("campaign.vouchers.generation.completed", "total", "completed_at"),
        "campaign.vouchers.generation.completed",
    ),
    campaigns.VouchersGenerationFailed: _mapped(
        on_generation("campaign.vouchers.generation.failed", "done", "failed_at"),
        "campaign.vouchers.generation.failed",
    ),
    campaigns.VouchersGenerated: _mapped(on_generated, "voucher.created"),
    campaigns.VoucherCreated: _mapped(
        on_voucher("voucher.created"), "voucher.created", "campaign.vouchers.added"
    ),
    campaigns.VoucherUpdated: _mapped(on_voucher("voucher.updated"), "voucher.updated"),
    campaigns.VoucherEnabled: _mapped(on_voucher("voucher.enabled"), "voucher.enabled"),
    campaigns.VoucherDisabled: _mapped(on_voucher("voucher.disabled"), "voucher.disabled"),
    campaigns.ValidationRuleCreated: _mapped(
        on_rule("business_validation_rule.created", "created_at"),
        "business_validation_rule.created",
    ),
    campaigns.ValidationRuleUpdated: _mapped(
        on_rule("business_validation_rule.updated", "updated_at"),
        "business_validation_rule.updated",
    ),
    campaigns.ValidationRuleDeleted: _mapped(on_rule_deleted, "business_validation_rule.deleted"),
    campaigns.ValidationRuleAssigned: _mapped(
        on_assignment("business_validation_rule.assignment.created", 1),
        "business_validation_rule.assignment.created",
    ),
    campaigns.ValidationRuleUnassigned: _mapped(
        on_assignment("business_validation_rule.assignment.deleted", 0),
        "business_validation_rule.assignment.deleted",
    ),
    promotions.PromotionTierCreated: _mapped(
        on_tier("campaign.promotion_tier.created", "created_at"), "campaign.promotion_tier.created"
    ),
    promotions.PromotionTierUpdated: _mapped(
        on_tier("campaign.promotion_tier.updated", "updated_at"), "campaign.promotion_tier.updated"
    ),
    promotions.PromotionTierEnabled: _mapped(
        on_tier("campaign.promotion_tier.enabled"), "campaign.promotion_tier.enabled"
    ),
    promotions.PromotionTierDisabled: _mapped(
        on_tier("campaign.promotion_tier.disabled"), "campaign.promotion_tier.disabled"
    ),
    promotions.PromotionTierDeleted: _mapped(
        on_tier("campaign.promotion_tier.deleted"), "campaign.promotion_tier.deleted"
    ),
    promotions.PromotionStackCreated: _mapped(
        on_stack("campaign.promotion_stack.created", "created_at"),
        "campaign.promotion_stack.created",
    ),
    promotions.PromotionStackUpdated: _mapped(
        on_stack("campaign.promotion_stack.updated", "updated_at"),
        "campaign.promotion_stack.updated",
    ),
    customers.CustomerCreated: _mapped(on_customer("customer.created"), "customer.created"),
    customers.CustomerUpdated: _mapped(on_customer("customer.updated"), "customer.updated"),
    ledger.RedemptionSucceeded: _mapped(
        on_redemption_succeeded, "redemption.succeeded", "voucher.gift.transaction.created"
    ),
    ledger.RedemptionFailed: _mapped(on_redemption_failed, "redemption.failed"),
    ledger.RedemptionRolledBack: _mapped(
        on_rolled_back, "redemption.rollback.succeeded", "voucher.gift.transaction.created"
    ),
    ledger.RollbackFailed: _mapped(on_rollback_failed, "redemption.rollback.failed"),
    ledger.BalanceAdjusted: _mapped(
        on_adjusted, "voucher.gift.balance_added", "voucher.gift.transaction.created"
    ),
    distribution.PublicationSucceeded: _mapped(
        on_published, "publication.succeeded", "voucher.published"
    ),
}

NO_PUBLIC_NAME = "the public API has no project webhook for it"
INTERNAL = "it concerns the platform, not the project"
OWN = "it tells of webhooks; telling that by webhook would never end"
IGNORED: Mapping[type[Event], str] = {
    promotions.PromotionStackDeleted: NO_PUBLIC_NAME,
    promotions.CategoryCreated: NO_PUBLIC_NAME,
    promotions.CategoryUpdated: NO_PUBLIC_NAME,
    promotions.CategoryDeleted: NO_PUBLIC_NAME,
    campaigns.VouchersBulkStarted: NO_PUBLIC_NAME,
    campaigns.VouchersBulkAdvanced: NO_PUBLIC_NAME,
    catalog.ProductsBulkStarted: NO_PUBLIC_NAME,
    catalog.ProductsBulkAdvanced: NO_PUBLIC_NAME,
    customers.CustomersBulkStarted: NO_PUBLIC_NAME,
    customers.CustomersBulkAdvanced: NO_PUBLIC_NAME,
    catalog.ProductCreated: NO_PUBLIC_NAME,
    catalog.ProductUpdated: NO_PUBLIC_NAME,
    catalog.SkuCreated: NO_PUBLIC_NAME,
    catalog.SkuUpdated: NO_PUBLIC_NAME,
    catalog.ProductDeleted: NO_PUBLIC_NAME,
    catalog.SkuDeleted: NO_PUBLIC_NAME,
    catalog.ProductCollectionCreated: NO_PUBLIC_NAME,
    catalog.ProductCollectionUpdated: NO_PUBLIC_NAME,
    catalog.ProductCollectionDeleted: NO_PUBLIC_NAME,
    catalog.IntakeRejected: INTERNAL,
    customers.SegmentCreated: NO_PUBLIC_NAME,
    customers.CustomerEnteredSegment: NO_PUBLIC_NAME,
    customers.CustomerLeftSegment: NO_PUBLIC_NAME,
    customers.OrderCreated: NO_PUBLIC_NAME,
    customers.OrderUpdated: NO_PUBLIC_NAME,
    customers.CustomEventRecorded: NO_PUBLIC_NAME,
    ledger.HoldPlaced: NO_PUBLIC_NAME,
    ledger.HoldReleased: NO_PUBLIC_NAME,
    distribution.DistributionCreated: NO_PUBLIC_NAME,
    distribution.DistributionUpdated: NO_PUBLIC_NAME,
    distribution.PublicationFailed: NO_PUBLIC_NAME,
    distribution.CodeRequested: INTERNAL,
    distribution.MessageQueued: NO_PUBLIC_NAME,
    distribution.MessageSent: NO_PUBLIC_NAME,
    distribution.MessageFailed: NO_PUBLIC_NAME,
    gateway.ProjectCreated: INTERNAL,
    gateway.ProjectUpdated: INTERNAL,
    gateway.ProjectDeleted: INTERNAL,
    gateway.ApiKeyIssued: INTERNAL,
    gateway.ApiKeyRevoked: INTERNAL,
    webhooks.EndpointCreated: OWN,
    webhooks.EndpointUpdated: OWN,
    webhooks.EndpointDeleted: OWN,
    webhooks.EndpointDisabled: OWN,
    webhooks.EndpointSecretRotated: OWN,
    webhooks.DeliveryAttempted: OWN,
}


def hooks(event: Event, known: Known, wanted: frozenset[str] | set[str]) -> Iterator[Hook]:
    """Yield the webhook events that the event leads to and somebody wants."""
    mapped = MAPPED[type(event)]
    if mapped.names & wanted:
        for hook in mapped.render(event, known):
            assert hook.name in mapped.names, f"{hook.name} is missing in the table"
            if hook.name in wanted:
                yield hook


HOLDERS = ("voucher", "publication", "tier", "stack")
"""Where an event keeps the state that may name a campaign."""


def references(event: Any) -> set[str]:
    """Return the ids of campaigns and rules that rendering the event may look up."""
    state = next(
        (state for name in HOLDERS if (state := getattr(event, name, None)) is not None), event
    )
    found = {_field(state, "campaign_id")}
    found |= {item.campaign_id for item in getattr(event, "items", ())}
    refused = getattr(event, "refused", None) or {}
    for name in ("voucher", "promotion_tier"):
        found.add((refused.get(name) or {}).get("campaign_id"))
    if isinstance(event, campaigns.ValidationRuleDeleted):
        found.add(event.rule_id)
    if isinstance(event, campaigns.ValidationRuleAssigned | campaigns.ValidationRuleUnassigned):
        found |= {event.assignment.rule_id, event.assignment.related_object_id}
    return {one for one in found if isinstance(one, str)}


def _field(state: Any, name: str) -> Any:
    return state.get(name) if isinstance(state, dict) else getattr(state, name, None)


def names(event: Event) -> frozenset[str]:
    """Return the names that an event may lead to."""
    mapped = MAPPED.get(type(event))
    return mapped.names if mapped is not None else frozenset()


def body(
    project_id: str, hook: Hook, *, event_id: str, group_id: str, occurred_at: datetime
) -> JsonObject:
    """Return the webhook's body, without what differs between endpoints (``id``, ``source``)."""
    at = public.instant(occurred_at)
    return {
        "project_id": project_id,
        "created_at": at,
        "type": hook.name,
        "data": hook.data,
        "event": {
            "id": event_id,
            "type": EVENT_TYPES.get(hook.name, hook.name),
            "created_at": at,
            "entity_id": hook.entity_id,
            "group_id": group_id,
            "event_source": {"channel": "API"},
        },
    }
