"""Plans, commands and events of the ledger."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from contracts.accounts import Unit
from contracts.engine import StackRequest, ValidateStack
from contracts.errors import ErrorBody, JsonObject
from contracts.messages import Command, Event


class Posting(BaseModel):
    """Moves ``amount`` (> 0) of ``unit`` out of ``account`` into ``contra``.

    ``limit`` is what the definition of version ``limit_version`` allows in total (None: unlimited).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str
    contra: str
    unit: Unit
    amount: int
    limit: int | None = None
    limit_version: int = 0
    error: ErrorBody
    """The refusal when too little is left."""
    is_adjustable: bool = False
    """The amount was the engine's choice (as much credit as possible): too little left means that
    the plan is wrong, not that the request is refused."""
    holder: str | None = None
    """In a session: the redeemable that the amount is held for."""


class Posted(BaseModel):
    """A posting as it was applied. ``used`` and ``available`` are the account's balances after it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str
    contra: str
    unit: str
    amount: int
    used: int
    available: int | None = None


class PlannedRedemption(BaseModel):
    """One redeemable of a plan, in the order of application."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    redemption_id: str
    redeemable: JsonObject
    """As requested: object, id, gift, reward."""
    related_object_type: Literal["voucher", "promotion_tier"]
    related_object_id: str
    voucher: JsonObject | None = None
    """Snapshot in the public API's shape (without balances)."""
    promotion_tier: JsonObject | None = None
    """Snapshot in the public API's shape, instead of a voucher."""
    promotion_stack: JsonObject | None = None
    """``id`` and ``name`` of the stack that the tier was redeemed with."""
    campaign_id: str | None = None
    campaign_name: str | None = None
    amount: int | None = None
    """Credits or points taken."""
    discount_amount: int = 0
    """What this redeemable took off the order, minor units."""
    result: JsonObject = {}
    """``{"discount": …}`` or ``{"gift": …}`` as in a validation's response."""
    order: JsonObject | None = None
    """The order's cumulative state after this step."""
    postings: list[Posting] = []


class Plan(BaseModel):
    """What the engine decided. With ``refusal`` set nothing applies and ``redemptions`` is empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stack: StackRequest
    attempt: int = 1
    planned_at: datetime
    parent_id: str | None = None
    """Id of the parent redemption when more than one redeemable applies."""
    customer: JsonObject | None = None
    """The customer (id, source_id, …) as stored and overlaid with what the request said."""
    customer_changes: JsonObject | None = None
    """What the request said of the customer, to be stored by its owner."""
    order: JsonObject | None = None
    """The final state of the order, with its id."""
    sent_order: JsonObject | None = None
    """The order before anything applies: what a redemption that is refused shows."""
    order_version: int | None = None
    """How many redemptions and rollbacks of the order the plan was made after; None: the order was
    made by this plan, so nobody else can name it."""
    turn: int = 1
    redemptions: list[PlannedRedemption] = []
    refusal: ErrorBody | None = None
    refused: JsonObject | None = None
    """The redeemable that was refused (``object``, ``id``), with its voucher snapshot if known."""
    failed_redemption_id: str
    """``rf_…``, used when the redemption is refused here or by the ledger."""
    inapplicable_redeemables: list[JsonObject] = []
    skipped_redeemables: list[JsonObject] = []
    stacking_rules: JsonObject = {}
    metadata: JsonObject = {}
    api_key_id: str | None = None


class Redeem(Command):
    """Apply a plan, whole or not at all."""

    TYPE: ClassVar[str] = "ledger.redeem.v1"
    plan: Plan


class RollBack(Command):
    """Give back a redemption: ``single`` addresses one without parent, else the whole stack."""

    TYPE: ClassVar[str] = "ledger.roll-back.v1"
    redemption_id: str
    is_single: bool
    rollback_ids: list[str]
    """Ids to use: the first for the parent (``rr_``), then one for each child."""
    failed_rollback_id: str
    reason: str | None = None
    tracking_id: str | None = None
    customer: JsonObject | None = None
    order: JsonObject | None = None
    metadata: JsonObject = {}


class AdjustBalance(Command):
    """Add credits to a gift card (negative: remove)."""

    TYPE: ClassVar[str] = "ledger.adjust-balance.v1"
    voucher_id: str
    voucher: JsonObject
    """Snapshot: id, code, type, campaign_id."""
    account: str
    unit: Literal["credit", "point"]
    amount: int
    limit: int
    limit_version: int
    source_id: str | None = None
    reason: str | None = None
    transaction_id: str


class PlaceHold(Command):
    """Hold amounts for a session instead of what it held before, and answer the validation's caller.

    Without postings nothing applies: then nothing changes, and the answer is only remembered.
    """

    TYPE: ClassVar[str] = "ledger.place-hold.v1"
    session_key: str
    postings: list[Posting]
    ttl_us: int
    """Microseconds; the ledger's clock says when they are over."""
    order_id: str | None = None
    """When this order is canceled the hold is given back."""
    validation: ValidateStack
    """Handed back to the engine when it was answered from what is no longer so."""
    answer: JsonObject
    """The body of the answer."""


class ReleaseHold(Command):
    TYPE: ClassVar[str] = "ledger.release-hold.v1"
    session_key: str
    holder: str | None = None
    """Only what is held for this redeemable; None releases the whole session."""


class RedeemedItem(BaseModel):
    """One redeemable of a redemption that succeeded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    redemption_id: str
    redeemable: JsonObject
    related_object_type: str
    related_object_id: str
    voucher: JsonObject | None = None
    promotion_tier: JsonObject | None = None
    promotion_stack: JsonObject | None = None
    campaign_id: str | None = None
    campaign_name: str | None = None
    amount: int | None = None
    discount_amount: int = 0
    result: JsonObject = {}
    order: JsonObject | None = None
    posted: list[Posted]


class RedemptionSucceeded(Event):
    """One event for the whole stack. Stream: ``redemption-<parent or only id>``."""

    TYPE: ClassVar[str] = "ledger.redemption-succeeded.v1"
    parent_id: str | None = None
    items: list[RedeemedItem]
    customer: JsonObject | None = None
    customer_changes: JsonObject | None = None
    order: JsonObject | None = None
    order_version: int = 0
    """Numbers the redemptions and rollbacks of the order; 0: the order is not named by the caller."""
    metadata: JsonObject = {}
    inapplicable_redeemables: list[JsonObject] = []
    skipped_redeemables: list[JsonObject] = []
    rollback_order_mode: Literal["WITH_ORDER", "WITHOUT_ORDER"] = "WITH_ORDER"
    session_key: str | None = None
    api_key_id: str | None = None
    redeemed_at: datetime


class RedemptionFailed(Event):
    """Stream: ``redemption-<failed id>``. Nothing else changed."""

    TYPE: ClassVar[str] = "ledger.redemption-failed.v1"
    redemption_id: str
    redeemables: list[JsonObject]
    refused: JsonObject | None = None
    customer: JsonObject | None = None
    order: JsonObject | None = None
    error: ErrorBody
    metadata: JsonObject = {}
    failed_at: datetime


class RolledBackItem(BaseModel):
    """One redemption that was given back; ``posted`` has the reversed amounts (negative)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rollback_id: str
    redemption_id: str
    related_object_type: str
    related_object_id: str
    voucher: JsonObject | None = None
    promotion_tier: JsonObject | None = None
    promotion_stack: JsonObject | None = None
    campaign_id: str | None = None
    amount: int | None = None
    """Credits or points given back, negative."""
    discount_amount: int = 0
    """What the redemption had taken off the order."""
    posted: list[Posted]


class RedemptionRolledBack(Event):
    """The second event of the redemption's stream."""

    TYPE: ClassVar[str] = "ledger.redemption-rolled-back.v1"
    redemption_id: str
    """The stream's redemption: parent or only one."""
    parent_rollback_id: str | None = None
    items: list[RolledBackItem]
    order: JsonObject | None = None
    """The order after the rollback: CANCELED, discounts removed (WITH_ORDER)."""
    order_version: int = 0
    order_mode: Literal["WITH_ORDER", "WITHOUT_ORDER"] = "WITH_ORDER"
    customer: JsonObject | None = None
    reason: str | None = None
    metadata: JsonObject = {}
    rolled_back_at: datetime


class RollbackFailed(Event):
    """Stream: ``rollback-<failed rollback id>``."""

    TYPE: ClassVar[str] = "ledger.rollback-failed.v1"
    rollback_id: str
    redemption_id: str
    campaign_ids: list[str] = []
    """The campaign of each part of the redemption that was not given back, where it has one."""
    error: ErrorBody
    failed_at: datetime


class BalanceAdjusted(Event):
    """Stream: ``adjustment-<transaction id>``. ``amount`` may be negative."""

    TYPE: ClassVar[str] = "ledger.balance-adjusted.v1"
    transaction_id: str
    voucher: JsonObject
    account: str
    unit: str
    amount: int
    limit: int
    limit_version: int
    used: int
    available: int
    source_id: str | None = None
    reason: str | None = None
    adjusted_at: datetime


class HeldBalance(BaseModel):
    """An account whose holds have changed, and what it has after it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str
    unit: str
    held: int
    used: int
    available: int | None = None


class HoldPlaced(Event):
    """Stream: ``hold-<session key>``. Replaces what the session held before."""

    TYPE: ClassVar[str] = "ledger.hold-placed.v1"
    session_key: str
    held: list[Posting]
    balances: list[HeldBalance] = []
    order_id: str | None = None
    expires_at: datetime
    placed_at: datetime


class HoldReleased(Event):
    TYPE: ClassVar[str] = "ledger.hold-released.v1"
    session_key: str
    reason: Literal["released", "expired", "redeemed", "canceled"]
    """By the caller, by time, by the session's own redemption, or with its order."""
    remaining: list[Posting] = []
    """What the session still holds after this event."""
    balances: list[HeldBalance] = []
    released_at: datetime
