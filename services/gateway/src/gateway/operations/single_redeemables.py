"""The calls of before stacks: one voucher or one promotion tier, in their own shapes.

Each is a stack of one on its way to the engine and the ledger; only its body and its answer differ.
Deprecated by the public API, kept for the shops that still call them.
"""

import re
from typing import Any

from contracts import public, sessions
from contracts.engine import QualificationOptions, Scenario, StackRequest
from contracts.errors import InvalidQueryParams, JsonObject
from contracts.payload import refuse
from gateway import limits, queries, views
from gateway.body import OBJECT, TEXT, Kind, required
from gateway.http import CLIENT, Call, not_found, operation
from gateway.operations.qualifications import STACK, qualify
from gateway.operations.redemptions import redeem
from gateway.operations.validations import read_stack, validate
from gateway.operations.vouchers import one_voucher
from gateway.paging import read_parameters
from gateway.query import FLAG, Parameter, Query, one_of
from gateway.query import TEXT as WORD

FIELDS = {
    "customer": OBJECT,
    "order": OBJECT,
    "metadata": OBJECT,
    "session": OBJECT,
    "tracking_id": TEXT,
    "options": OBJECT,
}
VOUCHER_FIELDS = {**FIELDS, "gift": OBJECT, "reward": OBJECT}
SEARCH_FIELDS = {name: kind for name, kind in FIELDS.items() if name != "session"}
"""Looking for what applies holds nothing, as the public API has it: a session holds what it named."""
TRACKED = Query(tracking_id=Parameter(WORD, about="Whom an earlier answer named by this id"))
TIER = "/v1/promotions/tiers/{promotionTierId}"


def _deep(**properties: JsonObject) -> Kind:
    """Return the kind of an object whose properties stand in brackets; ``nested`` reads them."""
    return Kind({"type": "object", "properties": properties}, lambda name, value: value)  # noqa: ARG005


DIGITS = Kind({"type": "string", "pattern": r"^\d{1,15}$"}, lambda name, value: value)  # noqa: ARG005
ITEM = {
    **dict.fromkeys(("product_id", "sku_id", "related_object", "source_id"), WORD.schema),
    **dict.fromkeys(("quantity", "price", "amount"), DIGITS.schema),
}
BODY_IN_QUERY = Query(
    code=Parameter(required(WORD)),
    tracking_id=Parameter(WORD, about="Whom an earlier answer named by this id"),
    amount=Parameter(DIGITS, about="The order's amount"),
    item=Parameter(
        _deep(**{"0": {"type": "object", "properties": ITEM}}), about="The order's lines"
    ),
    order=Parameter(_deep(metadata={"type": "object"})),
    customer=Parameter(
        _deep(source_id=WORD.schema), about="Its properties, or its source_id alone"
    ),
    metadata=Parameter(_deep()),
    session_type=Parameter(one_of("LOCK")),
    session_key=Parameter(WORD),
    session_ttl=Parameter(DIGITS),
    session_ttl_unit=Parameter(one_of(*sessions.MICROSECONDS)),
)


# -- vouchers --------------------------------------------------------------------------------------


@operation("POST", "/v1/vouchers/{code}/validate", fields=VOUCHER_FIELDS, is_answer_kept=False)
async def validate_voucher(call: Call) -> JsonObject:
    """Check one voucher and price it. Deprecated: use ``POST /v1/validations``."""
    return await _validate_voucher(call, call.params["code"], call.body)


@operation("GET", "/client/v1/validate", auth=CLIENT, query=BODY_IN_QUERY)
async def validate_voucher_client_side(call: Call) -> JsonObject:
    """Check one voucher by query, from a browser or an app. Deprecated."""
    code = read_parameters(call)["code"]
    return await _validate_voucher(call, code, _body_of_query(nested(call.query)))


async def _validate_voucher(call: Call, code: str, body: JsonObject) -> JsonObject:
    voucher = await one_voucher(call, code)
    answer = await validate(call, _stack_of_one("voucher", code, body))
    step = _step(answer)
    shown: JsonObject = {
        "valid": answer["valid"],
        "code": voucher["code"],
        "metadata": step.get("metadata", {}),
        "tracking_id": _tracking_id(call, answer, body),
    }
    if not answer["valid"]:
        return shown | _reason(call, step)
    for name in ("campaign", "campaign_id", "start_date", "expiration_date", "gift"):
        if voucher.get(name) is not None:
            shown[name] = voucher[name]
    if "discount" in step["result"]:
        shown["discount"] = step["result"]["discount"]
    return shown | _priced(answer, step)


@operation(
    "POST",
    "/v1/vouchers/{code}/redemption",
    fields=VOUCHER_FIELDS,
    query=TRACKED,
    is_answer_kept=False,
)
async def redeem_voucher(call: Call) -> JsonObject:
    """Redeem one voucher. Deprecated: use ``POST /v1/redemptions``."""
    return await _redeem_voucher(call, call.params["code"])


@operation(
    "POST",
    "/client/v1/redeem",
    auth=CLIENT,
    setting="client_redeem_enabled",
    fields=VOUCHER_FIELDS,
    query=Query(code=Parameter(required(WORD)), **TRACKED.parameters),
    is_answer_kept=False,
)
async def redeem_voucher_client_side(call: Call) -> JsonObject:
    """Redeem one voucher, from a browser or an app. Deprecated."""
    return await _redeem_voucher(call, read_parameters(call)["code"])


async def _redeem_voucher(call: Call, code: str) -> JsonObject:
    event = await redeem(call, _stack_of_one("voucher", code, _tracked(call)))
    [shown] = public.redemptions(call.project_id, event)
    voucher = await one_voucher(call, code)
    return _without_nulls({**shown, "voucher": voucher})


# -- promotion tiers -------------------------------------------------------------------------------


@operation("POST", TIER + "/validation", fields=FIELDS, is_answer_kept=False)
async def validate_promotion_tier(call: Call) -> JsonObject:
    """Check one promotion tier and price it. Deprecated: use ``POST /v1/validations``."""
    tier = await _tier(call)
    answer = await validate(call, _stack_of_one("promotion_tier", tier["id"], call.body))
    return _validated_tier(call, tier, answer, call.body)


@operation("POST", TIER + "/redemption", fields=FIELDS, query=TRACKED, is_answer_kept=False)
async def redeem_promotion(call: Call) -> JsonObject:
    """Redeem one promotion tier. Deprecated: use ``POST /v1/redemptions``."""
    tier = await _tier(call)
    event = await redeem(call, _stack_of_one("promotion_tier", tier["id"], _tracked(call)))
    [shown] = public.redemptions(call.project_id, event)
    return _without_nulls({**shown, "promotion_tier": await _tier(call)})


ALL_TIERS = Query(
    audienceRulesOnly=Parameter(
        FLAG, about="Only rules on the customer count, as in the scenario AUDIENCE_ONLY"
    )
)


@operation(
    "POST", "/v1/promotions/validation", fields=SEARCH_FIELDS, query=ALL_TIERS, is_answer_kept=False
)
async def validate_promotions(call: Call) -> JsonObject:
    """Find the promotion tiers that apply to an order, each alone. Deprecated: use qualifications."""
    scenario: Scenario = (
        "AUDIENCE_ONLY" if read_parameters(call).get("audienceRulesOnly") else "ALL"
    )
    body = {name: value for name, value in call.body.items() if value is not None}
    stack = {name: body[name] for name in STACK if name in body}
    answer = await qualify(call, stack, scenario, ONLY_TIERS)
    found = {entry["id"]: entry for entry in answer["redeemables"]["data"]}
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        rows = await queries.promotion_tiers(connection, call.project_id, list(found))
        tiers = await views.promotion_tiers(connection, call.project_id, rows)
    shown = [_validated_tier(call, tier, _alone(answer, found[tier["id"]]), body) for tier in tiers]
    return {
        "valid": bool(shown),
        "tracking_id": _tracking_id(call, answer, body),
        "promotions": sorted(shown, key=lambda tier: tier["hierarchy"]),
    }


ONLY_TIERS = QualificationOptions(
    limit=limits.QUALIFICATIONS_SHOWN_MAX,
    filters={"resource_type": {"conditions": {"$is": ["promotion_tier"]}}},
    expand=["redeemable", "category"],
)


def _alone(answer: JsonObject, entry: JsonObject) -> JsonObject:
    """Return an entry of a qualification as a validation of nothing else would show it."""
    told = {"tracking_id": answer.get("tracking_id"), "order": entry.get("order")}
    return {"valid": True, "redeemables": [entry], **told}


async def _tier(call: Call) -> JsonObject:
    tier_id = call.params["promotionTierId"]
    await call.fresh(f"promotion_tier/{tier_id}")
    async with call.gateway.connection() as connection:
        rows = await queries.promotion_tiers(connection, call.project_id, [tier_id])
        if not rows:
            raise not_found("promotion_tier", tier_id)
        return (await views.promotion_tiers(connection, call.project_id, rows))[0]


TIER_FIELDS = ("id", "name", "banner", "start_date", "expiration_date", "hierarchy", "metadata")


def _validated_tier(
    call: Call, tier: JsonObject, answer: JsonObject, body: JsonObject
) -> JsonObject:
    step = _step(answer)
    shown: JsonObject = {
        "valid": answer["valid"],
        **{name: tier[name] for name in TIER_FIELDS if name in tier},
        "discount": step.get("result", {}).get("discount") or tier["action"].get("discount"),
        "campaign": tier["campaign"],
        "categories": step.get("categories", []),
        "object": "promotion_tier",
        "tracking_id": _tracking_id(call, answer, body),
    }
    if tier.get("category_id"):
        shown["category_id"] = tier["category_id"]
    if not answer["valid"]:
        return shown | _reason(call, step)
    order = step.get("order") or {}
    shown["discount_amount"] = order.get("total_discount_amount", 0)
    shown["applied_discount_amount"] = order.get("total_applied_discount_amount", 0)
    return _without_nulls(shown | _priced(answer, step))


# -- between the shapes ----------------------------------------------------------------------------


def _stack_of_one(kind: str, name: str, body: JsonObject) -> StackRequest:
    """Return the body as that of a stack with one redeemable."""
    redeemable: JsonObject = {"object": kind, "id": name}
    for part in ("gift", "reward"):
        if body.get(part) is not None:
            redeemable[part] = body[part]
    rest = {field: value for field, value in body.items() if field not in {"gift", "reward"}}
    return read_stack({**rest, "redeemables": [redeemable]})


def _tracked(call: Call) -> JsonObject:
    """Return the body, with the tracking id of the query where it has none."""
    tracking_id = read_parameters(call).get("tracking_id")
    return {"tracking_id": tracking_id, **call.body} if tracking_id else call.body


def _step(answer: JsonObject) -> JsonObject:
    found: JsonObject = answer["redeemables"][0]
    return found


def _priced(answer: JsonObject, step: JsonObject) -> JsonObject:
    shown = {name: step[name] for name in ("applicable_to", "inapplicable_to")}
    for name in ("order", "session"):
        if answer.get(name) is not None:
            shown[name] = answer[name]
    return shown


def _reason(call: Call, step: JsonObject) -> JsonObject:
    """Return why it does not apply; a merchant's own text takes the error's place."""
    result = step["result"]
    error = result.get("error") or {"code": 400, **result["details"]}
    told = {"details": step["id"], **error, "request_id": call.request_id}
    return {"reason": error["message"], "error": told}


def _without_nulls(answer: JsonObject) -> JsonObject:
    """Leave out what is null: the shapes of before stacks know no null."""
    shown = {name: value for name, value in answer.items() if value is not None}
    if "order" in shown:
        order: JsonObject = shown["order"]
        shown["order"] = {name: one for name, one in order.items() if one is not None}
    return shown


def _tracking_id(call: Call, answer: JsonObject, body: JsonObject) -> str:
    found: str = answer.get("tracking_id") or body.get("tracking_id") or call.new_id("track")
    return found


# -- bodies in a query -----------------------------------------------------------------------------

PART = re.compile(r"\[([^\[\]]*)\]")
NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


def nested(query: list[tuple[str, str]]) -> JsonObject:
    """Return what a query says with names such as ``item[0][product_id]`` and ``metadata[key]``."""
    found: JsonObject = {}
    for name, value in query:
        match = NAME.fullmatch(name)
        if match is None:
            raise InvalidQueryParams(f"{name}: is not a name")
        parts = [match[1], *PART.findall(match[2])]
        if len(parts) > limits.QUERY_DEPTH_MAX:
            raise InvalidQueryParams(f"{name}: at most {limits.QUERY_DEPTH_MAX} levels")
        _put(found, parts, name, value)
    return found


def _put(found: JsonObject, parts: list[str], name: str, value: str) -> None:
    place: Any = found
    for part in parts[:-1]:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise InvalidQueryParams(f"{name}: is a value and an object at once")
    if isinstance(place.get(parts[-1]), dict):
        raise InvalidQueryParams(f"{name}: is a value and an object at once")
    place[parts[-1]] = value


def _body_of_query(sent: JsonObject) -> JsonObject:
    """Return the body that the query of ``GET /client/v1/validate`` stands for."""
    order: JsonObject = dict(_object(sent, "order"))
    if "amount" in sent:
        order["amount"] = _number("amount", sent["amount"])
    items = _object(sent, "item")
    if items:
        order["items"] = [_item(f"item[{key}]", items[key]) for key in sorted(items, key=_place)]
    body: JsonObject = {"metadata": _object(sent, "metadata"), "order": order or None}
    if sent.get("customer"):
        by_name = isinstance(sent["customer"], str)
        body["customer"] = {"source_id": sent["customer"]} if by_name else _object(sent, "customer")
    if sent.get("tracking_id"):
        body["tracking_id"] = TEXT.read("tracking_id", sent["tracking_id"])
    if sent.get("session_type"):
        session = {"type": sent["session_type"], "key": sent.get("session_key")}
        session["ttl_unit"] = sent.get("session_ttl_unit")
        if "session_ttl" in sent:
            session["ttl"] = _number("session_ttl", sent["session_ttl"])
        body["session"] = {name: value for name, value in session.items() if value is not None}
    return {name: value for name, value in body.items() if value is not None}


def _object(sent: JsonObject, name: str) -> JsonObject:
    value = sent.get(name, {})
    if not isinstance(value, dict):
        raise InvalidQueryParams(f"{name}: must be an object")
    return value


def _place(key: str) -> tuple[int, str]:
    return (int(key), "") if key.isdigit() and len(key) < 6 else (10**6, key)  # noqa: PLR2004 - digits


def _item(path: str, value: Any) -> JsonObject:
    if not isinstance(value, dict):
        raise refuse(path, "must be an object")
    item = dict(value)
    for name in ("quantity", "price", "amount"):
        if name in item:
            item[name] = _number(f"{path}.{name}", item[name])
    return item


def _number(name: str, value: Any) -> int:
    if not isinstance(value, str) or not value.isascii() or not value.isdigit():
        raise InvalidQueryParams(f"{name}: must be a whole number")
    if len(value) > limits.QUERY_DIGITS_MAX:
        raise InvalidQueryParams(f"{name}: is too large")
    return int(value)
