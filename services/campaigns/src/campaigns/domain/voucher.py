"""A voucher: a standalone code, or a code of a campaign that was changed by itself.

A code of a campaign has no stream until then; :func:`generated_voucher` is what it is before.
"""

from datetime import datetime
from typing import Any

from campaigns.domain.definition import (
    COMMON_FIELDS,
    boolean,
    change_definition,
    read_definition,
)
from campaigns.domain.periods import Duration
from contracts.campaigns import (
    Campaign,
    Voucher,
    VoucherCreated,
    VoucherDefinition,
    VoucherDisabled,
    VoucherEnabled,
    VoucherUpdated,
)
from contracts.errors import JsonObject
from contracts.payload import optional, read

VoucherEvent = VoucherCreated | VoucherUpdated | VoucherEnabled | VoucherDisabled


def generated_voucher(
    voucher_id: str,
    code: str,
    campaign_id: str,
    definition: VoucherDefinition | None,
    created_at: datetime,
) -> Voucher:
    """Return the voucher that a generated code is before its first change: version 1."""
    return Voucher(
        id=voucher_id,
        code=code,
        campaign_id=campaign_id,
        definition=definition,
        created_at=created_at,
    )


def decide_create_voucher(
    voucher_id: str, code: str, body: JsonObject, campaign: Campaign | None, now: datetime
) -> VoucherCreated:
    """Return the voucher that the body defines, standing alone or in a campaign."""
    active = optional(boolean)("active", body.get("active"))
    voucher = Voucher(
        id=voucher_id,
        code=code,
        campaign_id=None if campaign is None else campaign.id,
        active=True if active is None else active,
        definition=read_definition(body).model_copy(update={"code_config": None}),
        created_at=now,
    )
    return VoucherCreated(voucher=voucher, gift_amount=gift_amount(voucher.definition))


def decide_add_voucher(
    voucher_id: str,
    code: str,
    campaign: Campaign,
    definition: VoucherDefinition | None,
    active: bool,
    now: datetime,
) -> VoucherCreated:
    """Return one code of a campaign; it inherits the template unless it differs from it."""
    voucher = generated_voucher(voucher_id, code, campaign.id, definition, now)
    return VoucherCreated(
        voucher=voucher.model_copy(update={"active": active}),
        gift_amount=gift_amount(definition or campaign.voucher),
    )


def gift_amount(definition: VoucherDefinition | None) -> int | None:
    """Return the credits that a gift card of this definition begins with."""
    gift = definition.gift if definition is not None else None
    return None if gift is None else gift["amount"]


def decide_update_voucher(
    voucher: Voucher, template: VoucherDefinition | None, changes: JsonObject, now: datetime
) -> list[VoucherUpdated]:
    """Return the change; nothing if the voucher already is as sent.

    A voucher that inherited gets a full definition of its own, unless only ``active`` changes.
    """
    current = voucher.definition or template
    assert current is not None, f"voucher {voucher.id} has neither definition nor template"
    values: dict[str, Any] = {}
    active = read(changes, {"active": optional(boolean)}).get("active")
    if active is not None and active != voucher.active:
        values["active"] = active
    changed = change_definition(current, changes, COMMON_FIELDS)
    if changed != current:
        values["definition"] = changed.model_copy(update={"code_config": None})
    if not values:
        return []
    return [VoucherUpdated(voucher=_next(voucher, values, now))]


def decide_set_active(
    voucher: Voucher, active: bool, now: datetime
) -> list[VoucherEnabled | VoucherDisabled]:
    """Return the switch; nothing if it already stands so."""
    if voucher.active == active:
        return []
    after = _next(voucher, {"active": active}, now)
    return [VoucherEnabled(voucher=after) if active else VoucherDisabled(voucher=after)]


def decide_start_period(
    voucher: Voucher,
    template: VoucherDefinition | None,
    published_at: datetime,
    period: Duration,
    now: datetime,
) -> list[VoucherUpdated]:
    """Return the voucher that is valid for ``period`` from its publication on."""
    current = voucher.definition or template
    assert current is not None, f"voucher {voucher.id} has neither definition nor template"
    dates = {"start_date": published_at, "expiration_date": period.after(published_at)}
    definition = current.model_copy(update={**dates, "code_config": None})
    if definition == current:
        return []
    return [VoucherUpdated(voucher=_next(voucher, {"definition": definition}, now))]


def _next(voucher: Voucher, values: dict[str, Any], now: datetime) -> Voucher:
    values = {**values, "updated_at": now, "version": voucher.version + 1}
    return voucher.model_copy(update=values)


def evolve(state: Voucher | None, event: VoucherEvent) -> Voucher:
    """Return the voucher after the event."""
    del state
    return event.voucher
