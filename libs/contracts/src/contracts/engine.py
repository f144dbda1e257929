"""Requests to the engine: price a stack, or plan its redemption.

``RedemptionRequest`` is what a shop sends; the engine turns it into a ``ledger.Plan``.
"""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from contracts.errors import JsonObject
from contracts.messages import Request


class StackRequest(BaseModel):
    """The body of ``POST /v1/validations`` and ``/v1/redemptions``, of the right types."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    redeemables: list[JsonObject]
    customer: JsonObject | None = None
    order: JsonObject | None = None
    metadata: JsonObject = {}
    session: JsonObject | None = None
    tracking_id: str | None = None
    options: JsonObject = {}


class ValidateStack(Request):
    """Answered with the body of ``POST /v1/validations``.

    A stack with a session is passed on to the ledger, which holds what applies and answers the caller.
    """

    TYPE: ClassVar[str] = "engine.validate-stack.v1"
    validation_id: str
    stack: StackRequest
    now: datetime
    api_key_id: str | None = None
    attempt: int = 1
    """Counts how often the ledger handed the hold back."""
    available: dict[str, int] = {}
    """Accounts the ledger found different from the engine's view, with what is left in them."""


Scenario = Literal[
    "ALL",
    "CUSTOMER_WALLET",
    "AUDIENCE_ONLY",
    "PRODUCTS",
    "PRODUCTS_DISCOUNT",
    "PROMOTION_STACKS",
    "PRODUCTS_BY_CUSTOMER",
    "PRODUCTS_DISCOUNT_BY_CUSTOMER",
]
SortingRule = Literal["DEFAULT", "BEST_DEAL", "LEAST_DEAL"]


class QualificationOptions(BaseModel):
    """What of the redeemables that qualify is shown, and in which order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int
    starting_after: datetime | None = None
    """Only what was made before this moment."""
    filters: JsonObject | None = None
    """As segments have them: ``{"junction", "<field>": {"conditions": …}}``."""
    expand: list[Literal["redeemable", "category", "validation_rules"]] = []
    sorting_rule: SortingRule = "DEFAULT"


class Qualify(Request):
    """Answered with the body of ``POST /v1/qualifications``; nothing is changed or held."""

    TYPE: ClassVar[str] = "engine.qualify.v1"
    stack: StackRequest
    """Customer, order and metadata; it names no redeemables."""
    scenario: Scenario
    options: QualificationOptions
    now: datetime
    api_key_id: str | None = None


class PlanRedemption(Request):
    """Plan the redemption and pass the plan on to the ledger, which answers the caller."""

    TYPE: ClassVar[str] = "engine.plan-redemption.v1"
    stack: StackRequest
    now: datetime
    api_key_id: str | None = None
    attempt: int = 1
    """Counts how often the ledger handed the plan back."""
    available: dict[str, int] = {}
    """Accounts the ledger found different from the plan, with what is left in them."""
    turn: int = 1
    """Counts how often another redemption of the same order was first."""
    order_version: int = 0
    """How many facts of the order the ledger knows …"""
    known_order: JsonObject | None = None
    """… and the order as the last of them left it. Counts if the engine's own is older."""
