"""The pool: which codes there are, by campaign. A pure fold of campaigns' events."""

from collections.abc import Iterable

from contracts import campaigns as events
from contracts import ids, promotions
from contracts.campaigns import Campaign, VouchersGenerated
from contracts.messages import Envelope
from runtime.read_model import Fold, Projection, RowKey, Rows, Table

CAMPAIGNS = Table(
    "campaigns",
    key={"project_id": "text", "id": "text"},
    columns={"name": "text", "doc": "jsonb"},
)
POOL = Table(
    "pool",
    key={"project_id": "text", "code": "text"},
    columns={
        "voucher_id": "text",
        "campaign_id": "text",
        "active": "boolean",
        "definition": "jsonb",
        "version": "bigint",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
    },
)

CampaignEvent = (
    events.CampaignCreated
    | events.CampaignUpdated
    | events.CampaignEnabled
    | events.CampaignDisabled
)
VoucherEvent = (
    events.VoucherCreated | events.VoucherUpdated | events.VoucherEnabled | events.VoucherDisabled
)


def keys_campaign(event: CampaignEvent, meta: Envelope) -> Iterable[RowKey]:
    yield CAMPAIGNS, (meta.project_id, event.campaign.id)


def apply_campaign(rows: Rows, event: CampaignEvent, meta: Envelope) -> None:
    campaign: Campaign = event.campaign
    doc = campaign.model_dump(mode="json")
    rows.put(CAMPAIGNS, (meta.project_id, campaign.id), {"name": campaign.name, "doc": doc})


def keys_generated(event: VouchersGenerated, meta: Envelope) -> Iterable[RowKey]:
    return ((POOL, (meta.project_id, code)) for code in event.codes)


def apply_generated(rows: Rows, event: VouchersGenerated, meta: Envelope) -> None:
    definition = event.definition.model_dump(mode="json") if event.definition else None
    for code in event.codes:
        # A code that was changed since is known already: its own stream may have come first.
        if rows.get(POOL, meta.project_id, code) is None:
            row = {
                "voucher_id": ids.voucher_id(meta.project_id, code),
                "campaign_id": event.campaign_id,
                "active": True,
                "definition": definition,
                "version": 1,
                "created_at": event.generated_at,
            }
            rows.put(POOL, (meta.project_id, code), row)


def keys_voucher(event: VoucherEvent, meta: Envelope) -> Iterable[RowKey]:
    yield POOL, (meta.project_id, event.voucher.code)


def apply_voucher(rows: Rows, event: VoucherEvent, meta: Envelope) -> None:
    voucher = event.voucher
    row = {
        "voucher_id": voucher.id,
        "campaign_id": voucher.campaign_id,
        "active": voucher.active,
        "definition": voucher.definition.model_dump(mode="json") if voucher.definition else None,
        "version": voucher.version,
        "created_at": voucher.created_at,
        "updated_at": voucher.updated_at,
    }
    rows.put(POOL, (meta.project_id, voucher.code), row)


CAMPAIGN = Fold(keys_campaign, apply_campaign)
VOUCHER = Fold(keys_voucher, apply_voucher)
PROJECTION = Projection(
    tables=[CAMPAIGNS, POOL],
    folds={
        events.CampaignCreated: CAMPAIGN,
        events.CampaignUpdated: CAMPAIGN,
        events.CampaignEnabled: CAMPAIGN,
        events.CampaignDisabled: CAMPAIGN,
        events.VouchersGenerated: Fold(keys_generated, apply_generated),
        events.VoucherCreated: VOUCHER,
        events.VoucherUpdated: VOUCHER,
        events.VoucherEnabled: VOUCHER,
        events.VoucherDisabled: VOUCHER,
    },
    ignored=[
        events.VouchersGenerationStarted,
        events.VouchersGenerationCompleted,
        events.VouchersGenerationFailed,
        events.VouchersBulkStarted,
        events.VouchersBulkAdvanced,
        events.ValidationRuleCreated,
        events.ValidationRuleUpdated,
        events.ValidationRuleDeleted,
        events.ValidationRuleAssigned,
        events.ValidationRuleUnassigned,
        promotions.CategoryCreated,
        promotions.CategoryUpdated,
        promotions.CategoryDeleted,
        promotions.PromotionTierCreated,
        promotions.PromotionTierUpdated,
        promotions.PromotionTierEnabled,
        promotions.PromotionTierDisabled,
        promotions.PromotionTierDeleted,
        promotions.PromotionStackCreated,
        promotions.PromotionStackUpdated,
        promotions.PromotionStackDeleted,
    ],
)
