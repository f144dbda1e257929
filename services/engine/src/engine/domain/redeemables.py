"""Reading the list of redeemables of a request."""

from typing import NamedTuple

from contracts import payload
from contracts.engine import StackRequest
from contracts.errors import DomainError, JsonObject
from engine import limits

_id = payload.text(limits.ID_LENGTH_MAX)
_kind = payload.one_of("voucher", "promotion_tier", "promotion_stack")
_credits = payload.whole_number(1, limits.AMOUNT_MAX)


class DuplicatedRedeemables(DomainError):
    """The same redeemable is named twice in one request."""

    key = "duplicated_redeemables"
    message = "Duplicated redeemables detected"


class Redeemable(NamedTuple):
    """One thing to redeem. ``credits`` are those asked of a gift card; None means all it can."""

    object: str
    id: str
    credits: int | None
    sent: JsonObject


def read_redeemables(request: StackRequest, count_max: int) -> list[Redeemable]:
    """Return the redeemables; raises ``InvalidPayload`` naming the property."""
    sent = request.redeemables
    if not 1 <= len(sent) <= count_max:
        raise payload.refuse("redeemables", f"must have 1 to {count_max} elements")
    found = [_read(f"redeemables[{index}]", one) for index, one in enumerate(sent)]
    if len({(one.object, one.id) for one in found}) < len(found):
        raise DuplicatedRedeemables("Duplicated redeemables detected in one redemption")
    return found


def _read(path: str, sent: JsonObject) -> Redeemable:
    kind = _kind(f"{path}.object", sent.get("object", "voucher"))
    redeemable_id = payload.required(_id, sent, "id", path)
    gift = sent.get("gift")
    credit = None
    if gift is not None:
        asked = payload.json_object(f"{path}.gift", gift).get("credits")
        if asked is not None:
            credit = _credits(f"{path}.gift.credits", asked)
    return Redeemable(kind, redeemable_id, credit, sent)
