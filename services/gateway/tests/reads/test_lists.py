"""Every query parameter, order and filter that the public API documents for our lists, on a filled project.

What is asked comes from ``openapi.json`` (packed by ``tests/support/extract.py``); what is right is found
by looking at the list itself, in plain Python. Two projects hold the same history with the same ids, so
that a forgotten project shows as doubles. What has no meaning in Tessera is named below, with the reason.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from contracts import ids
from gateway.http import OPERATIONS
from gateway.query import Listing
from runtime import clock
from services.gateway.tests.reads.conftest import Answer, Site
from services.gateway.tests.reads.more import more
from tests.support.openapi import DOCUMENT

pytestmark = pytest.mark.integration
Json = dict[str, Any]
Look = Callable[[Json], Any]

LISTS = [one.name for one in OPERATIONS if isinstance(one.query, Listing)]
QUERIES: dict[str, Json] = {name: DOCUMENT["queries"].get(name, {}) for name in LISTS}
PATHS = {
    "{code}": "GIFT",
    "{productId}": "shoe",
    "{validationRuleId}": "val_1",
    "{campaignId}": "camp_3",
    "{productCollectionId}": "pc_1",
}

PAGING = {"limit", "page", "order", "starting_after_id", "starting_after"}
"""Checked by tests of their own."""
NO_MEANING = {
    # Everything that could be expanded is shown always.
    "GET /v1/campaigns expand",
    # Tessera has no areas and stores: a campaign in one of them is never found.
    "GET /v1/campaigns access_settings",
}
NO_MEANING_FILTERS = {
    # Redemptions are made with keys of the API, not by users of a dashboard.
    "GET /v1/redemptions user_login",
}
NO_MEANING_ORDERS = {
    # Published by mistake: products, SKUs and collections have no such field. The id decides.
    *(
        f"GET /v1/{path} {sign}{order}"
        for path in (
            "products",
            "products/{productId}/skus",
            "product-collections",
            "product-collections/{productCollectionId}/products",
        )
        for sign in ("", "-")
        for order in ("type", "code", "campaign", "category")
    ),
}


def at(*names: str) -> Look:
    """Return what is found under the names, one within another."""

    def look(one: Json) -> Any:
        value: Any = one
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    return look


def parent(one: Json) -> Any:
    tier = one.get("promotion_tier") or {}
    return (one.get("voucher") or {}).get("campaign_id") or (tier.get("campaign") or {}).get("id")


CAMPAIGN_NAMES = {
    "camp_1": "Autumn",
    "camp_2": "Gifts",
    "camp_3": "Tiers",
    "camp_4": "Friends",
    "camp_5": "Cards",
}
OF_CODE = {"GEN": "camp_1", "GIF": "camp_2", "FRI": "camp_4", "CAR": "camp_5"}


def published(one: Json) -> Any:
    """Return the id of a publication's campaign: shown by name, or not at all when it failed."""
    if one["result"] == "FAILURE":
        return "camp_1"
    return OF_CODE[codes(one)[0][:3]]


def codes(one: Json) -> list[str]:
    return one["vouchers"] if "vouchers" in one else [one["voucher"]["code"]]


def kind_of_code(one: Json) -> str:
    kinds = {"camp_1": "DISCOUNT_VOUCHER", "camp_4": "DISCOUNT_VOUCHER", "camp_5": "LOYALTY_CARD"}
    return kinds[published(one)]


# Where the body shows what a filter or parameter is about.
LOOKS: dict[str, dict[str, Look]] = {
    "GET /v1/campaigns": {
        "campaigns": at("name"),
        "campaigns_id": at("id"),
        "campaign_status": at("vouchers_generation_status"),
        "is_referral_code": lambda one: one["campaign_type"] == "REFERRAL_PROGRAM",
        "voucher_type": at("voucher", "type"),
        "categories": at("category_id"),
        "category_ids": at("category_id"),
        "type": at("type"),
        "created_date": at("created_at"),
        "updated_at": at("updated_at"),
        "start_date": at("start_date"),
        "expiration_date": at("expiration_date"),
        "validity_day_of_week": at("validity_day_of_week"),
        "validity_timeframe": at("validity_timeframe"),
        "campaign_type": at("campaign_type"),
    },
    "GET /v1/vouchers": {
        "campaign": at("campaign"),
        "campaign_id": at("campaign_id"),
        "code": at("code"),
        "category": lambda one: {"camp_4": "cat_1", "camp_5": "cat_2"}.get(one.get("campaign_id")),
        "customer": at("holder_id"),
        "ids": at("id"),
    },
    "GET /v1/redemptions": {
        "voucher_code": at("voucher", "code"),
        "related_object_id": at("related_object_id"),
        "related_object_parent_id": parent,
        "parent_redemption_id": lambda one: (
            one["redemption"] if one["object"] == "redemption" else None
        ),
        "failure_code": at("failure_code"),
        "result": at("result"),
        "object": at("object"),
        "customer_id": at("customer_id"),
        "campaign_name": lambda one: CAMPAIGN_NAMES.get(parent(one)),
        "campaign": lambda one: CAMPAIGN_NAMES.get(parent(one)),
        "customer": at("customer_id"),
        "tracking_id": at("tracking_id"),
        "created_at": at("date"),
    },
    "GET /v1/customers": {
        "email": at("email"),
        "city": at("address", "city"),
        "name": at("name"),
        "segment_id": lambda one: "seg_2" if one["source_id"] == "ada" else None,
    },
    "GET /v1/segments": {"ids": at("id")},
    "GET /v1/publications": {
        "failure_code": at("failure_code"),
        "campaign": lambda one: CAMPAIGN_NAMES[published(one)],
        "campaign_name": lambda one: CAMPAIGN_NAMES[published(one)],
        "customer": at("customer_id"),
        "voucher": lambda one: codes(one)[0] if codes(one) else None,
        "voucher_code": lambda one: codes(one)[0] if codes(one) else None,
        "voucher_type": kind_of_code,
        "is_referral_code": lambda one: published(one) == "camp_4",
        "parent_object_id": published,
        "related_object_id": at("vouchers_id"),
    },
    "GET /v1/validation-rules-assignments": {"rule": at("rule_id")},
    **{
        f"GET {path}": {"is_available": lambda one: one["id"] == "promo_7"}
        for path in ("/v1/promotions/tiers", "/client/v1/promotions/tiers")
    },
}
WORDS: dict[str, dict[Any, str]] = {
    "GET /v1/redemptions result": {"SUCCESS": "Success", "FAILURE": "Failure"},
    "GET /v1/publications voucher_type": {
        "DISCOUNT_VOUCHER": "discount",
        "LOYALTY_CARD": "loyalty",
    },
}
"""How a parameter says what the body shows."""


def look_of(name: str, field: str) -> Look:
    return LOOKS.get(name, {}).get(field) or at(field)


class Asking:
    """One list of the first project."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.project = site.first
        self.name = name
        path = name.removeprefix("GET ").replace("{projectId}", site.first.id)
        for word, value in PATHS.items():
            path = path.replace(word, value)
        self.path = path

    async def ask(self, *query: tuple[str, Any]) -> Answer:
        if self.path.startswith("/management/"):
            return await self.site.manage(self.path, **dict(query))
        if self.path.startswith("/client/"):
            return await self.project.ask_client_side(self.path, query)
        return await self.project.ask(self.path, query)

    async def ids(self, *query: tuple[str, Any]) -> list[str]:
        return [one["id"] for one in await self.objects(*query)]

    async def objects(self, *query: tuple[str, Any]) -> list[Json]:
        size = () if any(name == "limit" for name, _ in query) else (("limit", 100),)
        answer = await self.ask(*size, *query)
        assert answer.status == 200, (self.name, query, answer)
        found: list[Json] = answer.json[answer.json["data_ref"]]
        return found


@pytest_asyncio.fixture
async def full(site: Site) -> Site:
    """The same history in both projects, with all ids that do not follow from the project's."""
    await site.deliver(site.second.id, site.second.world.happened)
    for project in (site.first, site.second):
        await site.deliver(project.id, more(project.world))
    return site


# -- the model ------------------------------------------------------------------------------------


def elements(value: Any) -> list[str]:
    if isinstance(value, bool):
        return [str(value).upper()]
    found = value if isinstance(value, list) else [value]
    return [str(one) for one in found if one is not None]


def moment(value: str) -> datetime:
    return datetime.fromisoformat(value)


def days_ago(value: str) -> int:
    berlin = ZoneInfo("Europe/Berlin")
    return (clock.now().astimezone(berlin).date() - moment(value).astimezone(berlin).date()).days


TESTS: dict[str, Callable[[Any, str], bool]] = {
    "$is": lambda actual, value: value in elements(actual),
    "$in": lambda actual, value: value in elements(actual),
    "$starts_with": lambda actual, value: any(one.startswith(value) for one in elements(actual)),
    "$ends_with": lambda actual, value: any(one.endswith(value) for one in elements(actual)),
    "$contains": lambda actual, value: any(value in one for one in elements(actual)),
    "$has_value": lambda actual, _: bool(elements(actual)),
    "$after": lambda actual, value: actual is not None and moment(actual) > moment(value),
    "$before": lambda actual, value: actual is not None and moment(actual) < moment(value),
    "$more_than": lambda actual, value: actual is not None and days_ago(actual) > int(value),
    "$less_than": lambda actual, value: actual is not None and 0 <= days_ago(actual) < int(value),
}
CONTRARY = {
    "$is_not": "$is",
    "$not_in": "$in",
    "$not_contain": "$contains",
    "$is_unknown": "$has_value",
}


def matches(operator: str, actual: Any, value: str) -> bool:
    if operator in CONTRARY:
        return not matches(CONTRARY[operator], actual, value)
    return TESTS[operator](actual, value)


def values_for(operator: str, actuals: Iterable[Any]) -> list[str]:
    """Return what to ask for, made of what there is."""
    known = sorted({one for actual in actuals for one in elements(actual)})
    if operator in {"$has_value", "$is_unknown"}:
        return ["true"]
    if operator in {"$more_than", "$less_than"}:
        return ["1", "30000", *(str(max(0, days_ago(one)) + 1) for one in known)]
    positive = CONTRARY.get(operator, operator)
    if positive == "$starts_with":
        return [one[:-1] or one for one in known]
    if positive in {"$ends_with", "$contains"}:
        return [one[1:] or one for one in known]
    return known


def selects(found: list[str], everything: list[Json]) -> bool:
    return 0 < len(found) < len(everything)


# -- filters --------------------------------------------------------------------------------------

FILTERS = [
    (name, field)
    for name in LISTS
    for field in QUERIES[name].get("filters", {}).get("properties", {})
    if field not in {"junction", "status", "active"}
]


async def test_every_documented_filter_selects(full: Site) -> None:
    assert len(FILTERS) > 30, "the document has them"
    for name, field in FILTERS:
        asking = Asking(full, name)
        everything = await asking.objects()
        schema = QUERIES[name]["filters"]["properties"][field]["properties"]["conditions"]
        has_selected = False
        for operator in schema["properties"]:
            has_selected |= await _filter_is_right(asking, field, operator, everything)
        assert has_selected or f"{name} {field}" in NO_MEANING_FILTERS, f"{name}: {field}"


async def _filter_is_right(
    asking: Asking, field: str, operator: str, everything: list[Json]
) -> bool:
    look = look_of(asking.name, field)
    actuals = [look(one) for one in everything]
    if any(isinstance(actual, dict) for actual in actuals):
        # A timeframe is there or not; dates and numbers compare with none.
        value = "1" if operator in {"$more_than", "$less_than"} else "2026-01-01"
        found = await asking.ids((f"filters[{field}][conditions][{operator}][0]", value))
        wanted = {"$has_value": True, "$is_unknown": False}.get(operator)
        assert len(found) == sum(bool(actual) is wanted for actual in actuals), (field, operator)
        return selects(found, everything)
    has_selected = False
    for value in values_for(operator, actuals):
        found = await asking.ids((f"filters[{field}][conditions][{operator}][0]", value))
        expected = [
            one["id"]
            for one, actual in zip(everything, actuals, strict=True)
            if matches(operator, actual, value)
        ]
        assert sorted(found) == sorted(expected), (asking.name, field, operator, value)
        has_selected |= selects(found, everything)
    return has_selected


async def test_states_of_campaigns_select(full: Site) -> None:
    asking = Asking(full, "GET /v1/campaigns")
    documented = QUERIES[asking.name]["filters"]["properties"]
    states = {
        "status": {
            "$active": {"camp_1", "camp_2", "camp_6"},
            "$failed": {"camp_3"},
            "$in_progress": {"camp_5"},
            "$expired": {"camp_4"},
            "before_start": {"camp_5"},
        },
        "active": {
            "$enabled": {"camp_1", "camp_2", "camp_4", "camp_5", "camp_6"},
            "$disabled": {"camp_3"},
            "$expired": {"camp_4"},
            "$active": {"camp_1", "camp_2", "camp_6"},
        },
    }
    status = documented["status"]["properties"]["conditions"]["properties"]
    assert set(status) == set(states["status"])
    assert set(documented["active"]["properties"]) == set(states["active"])
    for field, words in states.items():
        for word, expected in words.items():
            for middle in ("[conditions]", ""):
                found = await asking.ids((f"filters[{field}]{middle}[{word}]", ""))
                assert set(found) == expected, (field, word, found)


async def test_junctions_tie_fields_and_never_the_operators_of_one(full: Site) -> None:
    asking = Asking(full, "GET /v1/campaigns")
    query = (
        ("filters[campaigns][conditions][$starts_with]", "Fri"),
        ("filters[campaigns][conditions][$ends_with]", "ends"),
        ("filters[type][conditions][$in][0]", "STATIC"),
    )
    assert await asking.ids(*query) == []
    either = await asking.ids(*query, ("filters[junction]", "or"))
    assert set(either) == {"camp_1", "camp_3", "camp_4"}
    contrary = ("filters[campaigns][conditions][$ends_with]", "umn")
    assert set(await asking.ids(query[0], contrary, ("filters[junction]", "or"))) == set()


# -- parameters -----------------------------------------------------------------------------------


async def test_every_documented_parameter_selects(full: Site) -> None:
    seen = 0
    for name in LISTS:
        asking = Asking(full, name)
        everything = await asking.objects()
        for parameter in QUERIES[name]:
            if parameter in PAGING or parameter == "filters":
                continue
            seen += 1
            if f"{name} {parameter}" in NO_MEANING:
                await _is_accepted(asking, parameter)
            else:
                await _parameter_is_right(asking, parameter, everything)
    assert seen > 35, "the document has them"


async def _parameter_is_right(asking: Asking, parameter: str, everything: list[Json]) -> None:
    field = parameter.partition("[")[0]
    if field in {"start_date", "end_date"}:
        field = "created_at"
    look = look_of(asking.name, field)
    words = WORDS.get(f"{asking.name} {parameter}", {})
    has_selected = False
    for actual in sorted({one for one in map(look, everything) if one is not None}, key=str):
        for query, test in _questions(asking, parameter, words.get(actual, actual)):
            found = await asking.ids(query)
            expected = [one["id"] for one in everything if test(look(one))]
            if parameter == "end_date" and asking.name == "GET /v1/async-actions":
                expected = [one["id"] for one in everything if look(one) < actual]
            assert sorted(found) == sorted(expected), (asking.name, query)
            has_selected |= selects(found, everything)
    assert has_selected, f"{asking.name}: {parameter} has nothing to select"


def _questions(
    asking: Asking, parameter: str, value: Any
) -> Iterable[tuple[tuple[str, str], Callable[[Any], bool]]]:
    """Yield parameters to send, and what they select."""
    told = str(value).lower() if isinstance(value, bool) else value
    words = WORDS.get(f"{asking.name} {parameter}", {})
    if QUERIES[asking.name][parameter].get("type") == "object" or "[" in parameter:
        name = parameter.partition("[")[0]
        before, after = _before(value), _after(value)
        if "[" not in parameter or "before" in parameter:
            yield (f"{name}[before]", told), before
            yield (f"[{name}][before]", told), before
        if "[" not in parameter or "after" in parameter:
            yield (f"{name}[after]", told), after
    elif parameter == "start_date":
        yield (parameter, told), lambda actual: actual >= value
    elif parameter == "end_date":
        yield (parameter, told), _before(value)
    elif parameter == "ids":
        for name, sent in (("ids", told), ("ids[0]", told), ("ids", f"['{told}']")):
            yield (name, sent), lambda actual: actual == value
    else:
        yield (parameter, told), lambda actual: words.get(actual, actual) == value
        source_ids = {ids.customer_id(asking.project.id, name): name for name in ("ada", "cleo")}
        if parameter == "customer" and value in source_ids:
            yield (parameter, source_ids[value]), lambda actual: actual == value


def _before(value: str) -> Callable[[Any], bool]:
    return lambda actual: actual is not None and actual < value


def _after(value: str) -> Callable[[Any], bool]:
    return lambda actual: actual is not None and actual > value


async def _is_accepted(asking: Asking, parameter: str) -> None:
    schema = QUERIES[asking.name][parameter]
    if parameter == "access_settings":
        for name in schema["properties"]["filter"]["properties"]:
            for tail in ("", "[0]", "[]"):
                assert await asking.ids((f"access_settings[filter][{name}]{tail}", "x")) == []
        return
    for word in schema["enum"]:
        assert await asking.ids((parameter, word)) == await asking.ids()


# -- order and pages ------------------------------------------------------------------------------

ORDERED_BY = {
    "GET /v1/redemptions created_at": at("date"),
    "GET /v1/publications channel": lambda one: "SMTP" if one["id"] == "pub_5" else "API",
}


async def test_every_documented_order_sorts_and_the_id_breaks_ties(full: Site) -> None:
    seen = 0
    for name in LISTS:
        asking = Asking(full, name)
        orders = QUERIES[name].get("order", {}).get("enum", ["created_at", "-created_at"])
        for order in orders if "order" in QUERIES[name] else []:
            field = order.removeprefix("-")
            look = ORDERED_BY.get(f"{name} {field}") or look_of(name, field)
            if f"{name} {order}" in NO_MEANING_ORDERS:
                look = at("nothing")
            listed = await asking.objects(("order", order))
            expected = _sorted(listed, look, descending=order.startswith("-"))
            assert [one["id"] for one in listed] == [one["id"] for one in expected], (name, order)
            is_told = len({str(look(one)) for one in listed}) > 1
            assert is_told or f"{name} {order}" in NO_MEANING_ORDERS, (
                f"{name}: all the same {order}"
            )
            seen += 1
    assert seen > 60, "the document has them"


def _sorted(listed: list[Json], look: Look, *, descending: bool) -> list[Json]:
    present = [one for one in listed if look(one) is not None]
    missing = [one for one in listed if look(one) is None]
    by_id = {"key": at("id"), "reverse": descending}
    present.sort(key=lambda one: (look(one), one["id"]), reverse=descending)
    return [*present, *sorted(missing, **by_id)]


async def test_pages_of_every_list_hold_everything_once(full: Site) -> None:
    for name in LISTS:
        asking = Asking(full, name)
        everything = await asking.ids()
        paged: list[str] = []
        for number in range(1, len(everything) + 1):
            paged += await asking.ids(("limit", 1), ("page", number))
        assert paged == everything, name
        assert len(set(paged)) == len(paged) > 0, name


async def test_transactions_go_on_behind_an_id_in_any_order(full: Site) -> None:
    asking = Asking(full, "GET /v1/vouchers/{code}/transactions")
    for order in ("id", "-id", "created_at", "-created_at"):
        everything = await asking.ids(("order", order))
        assert len(everything) >= 3
        paged: list[str] = []
        query: list[tuple[str, Any]] = [("order", order), ("limit", 1)]
        while True:
            answer = await full.first.ask(
                asking.path, [*query, *([("starting_after_id", paged[-1])] if paged else [])]
            )
            paged += [one["id"] for one in answer.json["data"]]
            if not answer.json["has_more"]:
                break
            assert answer.json["more_starting_after"] == paged[-1]
        assert paged == everything, order


@pytest.mark.parametrize("order", ["created_at", "-created_at"])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
async def test_customers_of_one_instant_are_never_lost_between_pages(
    full: Site, order: str, size: int
) -> None:
    everything = await Asking(full, "GET /v1/customers").ids(("order", order))
    seen: list[str] = []
    after: str | None = None
    for _ in range(len(everything) + 2):
        query = {"order": order, "limit": size, **({"starting_after": after} if after else {})}
        body = await full.first.must("/v1/customers", **query)
        assert body["total"] == len(everything)
        seen += [one["id"] for one in body["customers"]]
        after = body.get("more_starting_after")
        assert body["has_more"] == (after is not None)
        if after is None:
            break
    assert after is None, "it comes to an end"
    assert sorted(set(seen)) == sorted(everything)


async def test_a_cursor_of_customers_needs_their_order_by_time(full: Site) -> None:
    answer = await full.first.get("/v1/customers", starting_after="2026-01-01", order="source_id")
    assert (answer.status, answer.json["key"]) == (400, "invalid_query_params")


# -- operators of appendix A on dates, numbers and metadata ---------------------------------------


async def _made(full: Site, name: str, day: datetime) -> None:
    from contracts.customers import Customer, CustomerCreated
    from services.gateway.tests.reads.world import Happened

    one = Customer(
        id=ids.customer_id(full.first.id, name),
        source_id=name,
        birthdate=day.date().isoformat(),
        metadata={"day": day.date().isoformat()},
        created_at=day,
    )
    await full.deliver(
        full.first.id, [Happened("customers", f"customer-{one.id}", CustomerCreated(customer=one))]
    )


async def test_days_are_counted_from_today(site: Site) -> None:
    noon = clock.now().astimezone(ZoneInfo("Europe/Berlin")).replace(hour=12)
    for away in (-400, -31, -3, -1, 0, 1, 3, 31, 400):
        await _made(site, f"d{away}", (noon + timedelta(days=away)).astimezone(UTC))
    known = {f"d{away}": away for away in (-400, -31, -3, -1, 0, 1, 3, 31, 400)}
    asked: dict[str, Callable[[int], bool]] = {
        "$today": lambda away: away == 0,
        "$yesterday": lambda away: away == -1,
        "$tomorrow": lambda away: away == 1,
        "$more_than_ago=2": lambda away: away < -2,
        "$less_than_ago=3": lambda away: -3 < away <= 0,
        "$is_days_ago=3": lambda away: away == -3,
        "$more_than_future=2": lambda away: away > 2,
        "$less_than_future=3": lambda away: 0 <= away < 3,
        "$is_days_in_future=3": lambda away: away == 3,
        "$today_md": lambda away: away == 0,
        "$is_days_ago_md=3": lambda away: away == -3,
        "$is_days_in_future_md=31": lambda away: away == 31,
    }
    asking = Asking(site, "GET /v1/customers")
    for field in ("created_at", "metadata.day", "birthdate"):
        for question, test in asked.items():
            operator, _, value = question.partition("=")
            query = (f"filters[{field}][conditions][{operator}][0]", value)
            found = [one["source_id"] for one in await asking.objects(query)]
            mine = {name for name in found if name in known}
            assert mine == {name for name, away in known.items() if test(away)}, (field, question)


async def test_parts_of_dates_and_counts_of_lists(full: Site) -> None:
    asking = Asking(full, "GET /v1/customers")
    july = {"cleo", "dan"}
    asked = {
        "filters[created_at][conditions][$is_month]": ("7", july),
        "filters[created_at][conditions][$is_year]": ("2026", july | {"ada", "bob"}),
        "filters[created_at][conditions][$is_day_of_month]": ("10", july),
        "filters[created_at][conditions][$is_day]": ("0", {"ada", "bob"}),
        "filters[metadata.since][conditions][$is_month]": ("7", {"cleo"}),
        "filters[metadata.since][conditions][$is_years_ago]": (
            str(clock.now().year - 2026),
            {"cleo"},
        ),
        "filters[metadata.tags][conditions][$count]": ("2", {"cleo"}),
        "filters[metadata.tags][conditions][$count_less]": ("1", {"ada", "bob", "dan"}),
        "filters[metadata.tags][conditions][$count_more]": ("1", {"cleo"}),
        "filters[metadata.tags][conditions][$is]": ("b", {"cleo"}),
        "filters[metadata.tags][conditions][$has_value]": ("", {"cleo"}),
        "filters[metadata.tags][conditions][$is_unknown]": ("", {"ada", "bob", "dan"}),
        "filters[metadata.age][conditions][$more_than]": ("30", {"ada"}),
        "filters[metadata.age][conditions][$less_than_equal]": ("20", {"cleo"}),
        "filters[metadata.tier][conditions][$not_contain]": ("vip", {"bob", "cleo", "dan"}),
    }
    for name, (value, expected) in asked.items():
        found = {one["source_id"] for one in await asking.objects((name, value))}
        assert found == expected, (name, found)


NO_DAYS = ["x", "-1", "1.5", "99999999", ""]


async def test_operators_that_do_not_fit_are_refused(full: Site) -> None:
    asked = [
        ("/v1/customers", "filters[name][conditions][$more_than]", "1"),
        ("/v1/customers", "filters[created_at][conditions][$contains]", "1"),
        ("/v1/customers", "filters[created_at][conditions][$in_location]", "loc_1"),
        ("/v1/customers", "filters[created_at][conditions][$is_years_ago]", "2025"),
        ("/v1/customers", "filters[created_at][conditions][$is_years_ago]", "3000"),
        ("/v1/campaigns", "filters[status][conditions][$is]", "x"),
        ("/v1/campaigns", "filters[name][conditions][$active]", "x"),
        ("/v1/campaigns", "campaign_status", "NONE"),
        ("/v1/orders", "order", "amount"),
        ("/v1/redemptions", "result", "maybe"),
        *(
            ("/v1/customers", f"filters[created_at][conditions][{operator}]", value)
            for operator in ("$more_than_ago", "$is_days_ago_md", "$is_day")
            for value in NO_DAYS
        ),
    ]
    for path, name, value in asked:
        answer = await full.first.ask(path, [(name, value)])
        assert answer.status == 400, (path, name, value)
        assert answer.json["key"] == "invalid_query_params", (path, name, value)
        assert name.partition("[conditions]")[0] in answer.json["details"], (name, answer.json)


async def test_a_voucher_has_all_its_redemptions_on_pages(full: Site) -> None:
    path = "/v1/vouchers/GEN-2/redemption"
    first = await full.first.must(path, limit=1)
    second = await full.first.must(path, limit=1, page=2)
    both = await full.first.must(path)
    assert (first["total"], second["total"], both["total"]) == (2, 2, 2)
    entries = [*first["redemption_entries"], *second["redemption_entries"]]
    # Both were made at one instant: the id decides.
    assert [one["id"] for one in entries] == ["r_5", "r_4"]
    assert entries == both["redemption_entries"]


async def test_what_the_official_client_sends_is_understood(full: Site) -> None:
    from voucherify.api_client import ApiClient

    asked = {
        "campaigns": {"conditions": {"$in": ["Autumn", "Friends"]}},
        "campaign_status": {"conditions": {"$is": "DONE"}},
        "junction": "and",
    }
    sent = ApiClient().parameters_to_url_query(
        [("filters", asked), ("is_referral_code", False), ("limit", 5)], None
    )
    answer = await full.client.get(f"/v1/campaigns?{sent}", headers=full.first.headers)
    assert [one["id"] for one in answer.json()["campaigns"]] == ["camp_1"], sent
    found = {"ids": [full.first.world.solo_id, full.first.world.gift_id]}
    sent = ApiClient().parameters_to_url_query(found, None)
    answer = await full.client.get(f"/v1/vouchers?{sent}", headers=full.first.headers)
    assert {one["code"] for one in answer.json()["vouchers"]} == {"SOLO", "GIFT"}, sent
