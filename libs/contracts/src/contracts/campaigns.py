"""Commands and events of campaigns, vouchers and validation rules.

A voucher of a campaign carries no definition of its own until somebody changes it: it inherits its
campaign's ``voucher`` template. :func:`contracts.vouchers.effective_definition` puts both together.
"""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from contracts.bulk import BulkAdvanced, BulkPart, BulkStarted
from contracts.errors import ErrorBody, JsonObject
from contracts.messages import Command, Event

CampaignType = Literal[
    "DISCOUNT_COUPONS", "GIFT_VOUCHERS", "LOYALTY_PROGRAM", "REFERRAL_PROGRAM", "PROMOTION"
]


class VoucherDefinition(BaseModel):
    """What a voucher is, with the public API's field names; the same shape is a campaign's template.

    ``redemption`` is ``{"quantity": int | None}``; ``gift`` is ``{"amount": minor units, "effect"}``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["DISCOUNT_VOUCHER", "GIFT_VOUCHER", "LOYALTY_CARD"]
    discount: JsonObject | None = None
    gift: JsonObject | None = None
    loyalty_card: JsonObject | None = None
    redemption: JsonObject = {}
    category_id: str | None = None
    start_date: datetime | None = None
    expiration_date: datetime | None = None
    validity_timeframe: JsonObject | None = None
    validity_day_of_week: list[int] | None = None
    validity_hours: JsonObject | None = None
    additional_info: str | None = None
    metadata: JsonObject = {}
    code_config: JsonObject | None = None
    """Templates only."""
    is_referral_code: bool = False


class Campaign(BaseModel):
    """A campaign; ``voucher`` is the template that its codes inherit (none for promotions)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    description: str | None = None
    campaign_type: CampaignType
    type: Literal["STATIC", "AUTO_UPDATE", "STANDALONE"]
    voucher: VoucherDefinition | None = None
    auto_join: bool = False
    join_once: bool = False
    use_voucher_metadata_schema: bool = False
    start_date: datetime | None = None
    expiration_date: datetime | None = None
    validity_timeframe: JsonObject | None = None
    validity_day_of_week: list[int] | None = None
    validity_hours: JsonObject | None = None
    activity_duration_after_publishing: str | None = None
    category_id: str | None = None
    active: bool = True
    protected: bool = False
    metadata: JsonObject = {}
    referral_program: JsonObject | None = None
    creation_status: Literal["DONE", "IN_PROGRESS", "FAILED", "DRAFT", "MODIFYING"] = "DONE"
    vouchers_generation_status: Literal["DONE", "IN_PROGRESS", "FAILED", "DRAFT", "MODIFYING"] = (
        "DONE"
    )
    vouchers_count: int = 0
    """Codes generated so far."""
    created_at: datetime
    updated_at: datetime | None = None
    version: int = 1
    """Version of the definition: the version of the campaign's stream that set it."""


class Voucher(BaseModel):
    """A code. ``definition`` is None while it inherits its campaign's template."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    code: str
    campaign_id: str | None = None
    active: bool = True
    definition: VoucherDefinition | None = None
    created_at: datetime
    updated_at: datetime | None = None
    version: int = 1
    """Grows with every change; limits set by the voucher carry it. A generated code begins at 1 without
    a stream, so the first event of its stream has 2."""


class ValidationRule(BaseModel):
    """A validation rule as it was saved; ``rules`` in the public API's form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    type: str = "expression"
    context_type: str = "global"
    rules: JsonObject = {}
    bundle_rules: JsonObject | None = None
    error: JsonObject | None = None
    applicable_to: JsonObject | None = None
    created_at: datetime
    updated_at: datetime | None = None
    version: int = 1


class Assignment(BaseModel):
    """A validation rule assigned to an incentive."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    rule_id: str
    related_object_type: str
    """``campaign``, ``voucher``, ``promotion_tier``, …"""
    related_object_id: str
    created_at: datetime


class CreateCampaign(Command):
    """Create a campaign and start generating ``vouchers_count`` codes (asynchronously above 1)."""

    TYPE: ClassVar[str] = "campaigns.create-campaign.v1"
    campaign_id: str
    action_id: str
    """Id (``aa_``) of the asynchronous action under which codes are generated."""
    definition: JsonObject
    """The request's body, already of the right types."""
    vouchers_count: int = 0
    validation_rules: list[str] = []
    """Ids of rules to assign at once."""


class UpdateCampaign(Command):
    """Change the fields that were sent; an explicit None clears one."""

    TYPE: ClassVar[str] = "campaigns.update-campaign.v1"
    campaign_id: str
    changes: JsonObject


class SetCampaignActive(Command):
    TYPE: ClassVar[str] = "campaigns.set-campaign-active.v1"
    campaign_id: str
    active: bool


class AddVouchers(Command):
    """Add codes to a campaign: one at once, more asynchronously, or one with a given code."""

    TYPE: ClassVar[str] = "campaigns.add-vouchers.v1"
    campaign_id: str
    action_id: str
    count: int = 1
    code: str | None = None
    overrides: JsonObject = {}
    """Fields of the voucher that differ from the campaign's template."""


class CreateVoucher(Command):
    """Create a standalone code; drawn from ``code_config`` when ``code`` is None."""

    TYPE: ClassVar[str] = "campaigns.create-voucher.v1"
    code: str | None = None
    definition: JsonObject
    validation_rules: list[str] = []


class UpdateVoucher(Command):
    TYPE: ClassVar[str] = "campaigns.update-voucher.v1"
    code: str
    """Code or id."""
    changes: JsonObject


class SetVoucherActive(Command):
    TYPE: ClassVar[str] = "campaigns.set-voucher-active.v1"
    code: str
    active: bool


class CreateValidationRule(Command):
    TYPE: ClassVar[str] = "campaigns.create-validation-rule.v1"
    rule_id: str
    definition: JsonObject


class UpdateValidationRule(Command):
    """Change the fields that were sent."""

    TYPE: ClassVar[str] = "campaigns.update-validation-rule.v1"
    rule_id: str
    changes: JsonObject


class DeleteValidationRule(Command):
    """Delete a rule that is assigned to nothing."""

    TYPE: ClassVar[str] = "campaigns.delete-validation-rule.v1"
    rule_id: str


class AssignValidationRule(Command):
    TYPE: ClassVar[str] = "campaigns.assign-validation-rule.v1"
    assignment_id: str
    rule_id: str
    related_object_type: str
    related_object_id: str
    """Id, or a campaign's name, or a voucher's code; stored as the id."""


class UnassignValidationRule(Command):
    """Remove an assignment; ``rule_id`` must be its rule."""

    TYPE: ClassVar[str] = "campaigns.unassign-validation-rule.v1"
    rule_id: str
    assignment_id: str


class CampaignCreated(Event):
    TYPE: ClassVar[str] = "campaigns.campaign-created.v1"
    campaign: Campaign


class CampaignUpdated(Event):
    TYPE: ClassVar[str] = "campaigns.campaign-updated.v1"
    campaign: Campaign


class CampaignEnabled(Event):
    TYPE: ClassVar[str] = "campaigns.campaign-enabled.v1"
    campaign: Campaign


class CampaignDisabled(Event):
    TYPE: ClassVar[str] = "campaigns.campaign-disabled.v1"
    campaign: Campaign


class VouchersGenerationStarted(Event):
    """In the campaign's stream. ``total`` codes will be made under the action ``action_id``."""

    TYPE: ClassVar[str] = "campaigns.vouchers-generation-started.v1"
    campaign_id: str
    action_id: str
    total: int
    overrides: JsonObject = {}
    started_at: datetime


class VouchersGenerated(Event):
    """A slice of new codes, in the campaign's stream. Each code's id is ``ids.voucher_id``."""

    TYPE: ClassVar[str] = "campaigns.vouchers-generated.v1"
    campaign_id: str
    action_id: str
    codes: list[str]
    definition: VoucherDefinition | None = None
    """Set when these codes differ from the campaign's template."""
    gift_amount: int | None = None
    """Credits that each of these gift cards began with; its template may change later."""
    done: int
    """Codes of this action so far, these included."""
    total: int
    generated_at: datetime


class VouchersGenerationCompleted(Event):
    TYPE: ClassVar[str] = "campaigns.vouchers-generation-completed.v1"
    campaign_id: str
    action_id: str
    total: int
    completed_at: datetime


class VouchersGenerationFailed(Event):
    TYPE: ClassVar[str] = "campaigns.vouchers-generation-failed.v1"
    campaign_id: str
    action_id: str
    done: int
    total: int
    error: ErrorBody
    failed_at: datetime


class VoucherCreated(Event):
    """A standalone code, or one code added to a campaign by name."""

    TYPE: ClassVar[str] = "campaigns.voucher-created.v1"
    voucher: Voucher
    gift_amount: int | None = None
    """Credits that a gift card began with; its template may change later."""


class VoucherUpdated(Event):
    TYPE: ClassVar[str] = "campaigns.voucher-updated.v1"
    voucher: Voucher


class VoucherEnabled(Event):
    TYPE: ClassVar[str] = "campaigns.voucher-enabled.v1"
    voucher: Voucher


class VoucherDisabled(Event):
    TYPE: ClassVar[str] = "campaigns.voucher-disabled.v1"
    voucher: Voucher


class ValidationRuleCreated(Event):
    TYPE: ClassVar[str] = "campaigns.validation-rule-created.v1"
    rule: ValidationRule


class ValidationRuleAssigned(Event):
    TYPE: ClassVar[str] = "campaigns.validation-rule-assigned.v1"
    assignment: Assignment


class ValidationRuleUpdated(Event):
    TYPE: ClassVar[str] = "campaigns.validation-rule-updated.v1"
    rule: ValidationRule


class ValidationRuleDeleted(Event):
    """The last event of a rule's stream."""

    TYPE: ClassVar[str] = "campaigns.validation-rule-deleted.v1"
    rule_id: str


class ValidationRuleUnassigned(Event):
    """The last event of an assignment's stream."""

    TYPE: ClassVar[str] = "campaigns.validation-rule-unassigned.v1"
    assignment: Assignment


class ChangeVouchersInBulk(BulkPart):
    TYPE: ClassVar[str] = "campaigns.change-vouchers-in-bulk.v1"


class VouchersBulkStarted(BulkStarted):
    TYPE: ClassVar[str] = "campaigns.vouchers-bulk-started.v1"


class VouchersBulkAdvanced(BulkAdvanced):
    TYPE: ClassVar[str] = "campaigns.vouchers-bulk-advanced.v1"
