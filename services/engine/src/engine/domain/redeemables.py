"""Reading the list of redeemables of a request, and what each of them is."""

from dataclasses import dataclass

from contracts import payload
from contracts.engine import StackRequest
from contracts.errors import DomainError, JsonObject
from engine import limits
from engine.domain.definition import Code
from engine.domain.snapshot import PromotionStack, Snapshot

_id = payload.text(limits.ID_LENGTH_MAX)
_kind = payload.one_of("voucher", "promotion_tier", "promotion_stack")
_PLAIN_KINDS = ("voucher", "promotion_tier")
_credits = payload.whole_number(1, limits.AMOUNT_MAX)
STACK = "promotion_stack"


class DuplicatedRedeemables(DomainError):
    """The same redeemable is named twice in one request."""

    key = "duplicated_redeemables"
    message = "Duplicated redeemables detected"


class InvalidRedeemables(DomainError):
    """A promotion stack is redeemed alone."""

    key = "invalid_redeemables"
    message = "Invalid redeemables"


@dataclass(slots=True)
class Redeemable:
    """One thing to redeem. ``credits`` are those asked of a gift card; None means all it can."""

    object: str
    id: str
    credits: int | None
    sent: JsonObject


@dataclass(slots=True)
class Candidate:
    """A redeemable with what the project has under its id; None when there is nothing."""

    place: int
    """Its place in the request, or in the promotion stack."""
    redeemable: Redeemable
    code: Code | None
    stack: PromotionStack | None = None
    """The promotion stack that brought it."""


def read_candidates(snapshot: Snapshot) -> list[Candidate]:
    """Return what the request wants to redeem; raises ``InvalidPayload`` naming the property.

    A promotion stack stands for its tiers.
    """
    count_max = snapshot.stacking_rules["redeemables_limit"]
    found = read_redeemables(snapshot.request, count_max)
    if found[0].object == STACK:
        return _tiers_of(found[0], snapshot)
    codes, tiers = snapshot.codes, snapshot.tiers
    return [
        Candidate(place, one, (tiers if one.object == "promotion_tier" else codes).get(one.id))
        for place, one in enumerate(found)
    ]


def _tiers_of(redeemable: Redeemable, snapshot: Snapshot) -> list[Candidate]:
    stack = snapshot.stacks.get(redeemable.id)
    if stack is None:
        return [Candidate(0, redeemable, None)]
    assert len(stack.tier_ids) <= limits.TIERS_PER_STACK_MAX, "checked when the stack was made"
    return [
        Candidate(place, _tier(tier_id), snapshot.tiers.get(tier_id), stack)
        for place, tier_id in enumerate(stack.tier_ids)
    ]


def _tier(tier_id: str) -> Redeemable:
    sent: JsonObject = {"object": "promotion_tier", "id": tier_id}
    return Redeemable("promotion_tier", tier_id, None, sent)


def read_redeemables(request: StackRequest, count_max: int) -> list[Redeemable]:
    """Return the redeemables; raises ``InvalidPayload`` naming the property."""
    sent = request.redeemables
    if not 1 <= len(sent) <= count_max:
        raise payload.refuse("redeemables", f"must have 1 to {count_max} elements")
    found = [_plain(one) or _read(f"redeemables[{index}]", one) for index, one in enumerate(sent)]
    named = {(one.object, one.id) for one in found}
    if len(named) < len(found):
        raise DuplicatedRedeemables("Duplicated redeemables detected in one redemption")
    if len(found) > 1 and any(one.object == STACK for one in found):
        raise InvalidRedeemables("Promotion Stack cannot be use with other redeemables")
    return found


def _plain(sent: JsonObject) -> Redeemable | None:
    """Return what is plainly right, as nearly all are, without making a path for every property of it."""
    kind, name = sent.get("object"), sent.get("id")
    if kind not in _PLAIN_KINDS or type(name) is not str or sent.get("gift") is not None:
        return None
    is_right = len(name) <= limits.ID_LENGTH_MAX and name.isascii() and "\x00" not in name
    return Redeemable(kind, name, None, sent) if is_right else None


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
