"""The engine's real handlers on a real Postgres: the replica fills, requests are answered from it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from contracts import campaigns, catalog, customers, distribution, gateway, ids, ledger
from contracts.engine import PlanRedemption, StackRequest, ValidateStack
from contracts.errors import JsonObject
from contracts.messages import Reply
from engine.app import build
from runtime.settings import Settings
from runtime.testing.harness import Harness

pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 11, 12, 0, tzinfo=UTC)
SHOP, OTHER = "proj_shop", "proj_other"


@pytest_asyncio.fixture
async def engine(leased_settings: Settings) -> AsyncIterator[Harness]:
    async with Harness(build(leased_settings)) as harness:
        for project in (SHOP, OTHER):
            await harness.event(project, _project(project), source="gateway")
        yield harness


def _project(project_id: str) -> gateway.ProjectCreated:
    return gateway.ProjectCreated(
        project=gateway.Project(
            id=project_id,
            name=project_id,
            timezone="Europe/Berlin",
            currency="EUR",
            created_at=NOW,
            webhook_secret="cipher",
        )
    )


def _campaign(kind: str = "DISCOUNT_VOUCHER", **changes: object) -> campaigns.CampaignCreated:
    template: JsonObject = {
        "type": kind,
        "discount": {"type": "PERCENT", "percent_off": 10, "effect": "APPLY_TO_ORDER"},
        "redemption": {"quantity": 1},
    }
    if kind == "GIFT_VOUCHER":
        template |= {"discount": None, "gift": {"amount": 2500}, "redemption": {"quantity": None}}
    return campaigns.CampaignCreated(
        campaign=campaigns.Campaign.model_validate(
            {
                "id": "camp_1",
                "name": "Sale",
                "campaign_type": "DISCOUNT_COUPONS",
                "type": "STATIC",
                "voucher": template,
                "created_at": NOW,
                **changes,
            }
        )
    )


def _generated(codes: list[str], campaign_id: str = "camp_1") -> campaigns.VouchersGenerated:
    return campaigns.VouchersGenerated(
        campaign_id=campaign_id,
        action_id="aa_1",
        codes=codes,
        done=len(codes),
        total=len(codes),
        generated_at=NOW,
    )


def _stack(*codes: str, amount: int = 10_000, customer: str = "anna") -> StackRequest:
    return StackRequest(
        redeemables=[{"object": "voucher", "id": code} for code in codes],
        customer={"source_id": customer},
        order={"source_id": "order-1", "amount": amount},
    )


async def _validate(engine: Harness, project: str, stack: StackRequest) -> JsonObject:
    request = ValidateStack(validation_id="valid_1", stack=stack, now=NOW)
    reply = await engine.request(project, request)
    assert isinstance(reply, Reply), "answered"
    assert reply.error is None, reply.error
    assert reply.body is not None
    return reply.body


async def _plan(engine: Harness, stack: StackRequest, **more: object) -> ledger.Plan:
    request = PlanRedemption.model_validate({"stack": stack, "now": NOW, **more})
    assert await engine.request(SHOP, request) is None, "passed on"
    sent = engine.sent[-1]
    assert sent.topic == "ledger.commands"
    return ledger.Redeem.from_json(sent.value).plan


def _posted(plan: ledger.Plan, used: dict[str, int]) -> ledger.RedemptionSucceeded:
    posted = [
        ledger.Posted(account=p.account, contra=p.contra, unit=p.unit, amount=p.amount, used=u)
        for one in plan.redemptions
        for p in one.postings
        if (u := used.get(p.account)) is not None
    ]
    first = plan.redemptions[0]
    return ledger.RedemptionSucceeded(
        items=[
            ledger.RedeemedItem(
                redemption_id=first.redemption_id,
                redeemable=first.redeemable,
                related_object_type="voucher",
                related_object_id=first.related_object_id,
                posted=posted,
            )
        ],
        order=plan.order,
        redeemed_at=NOW,
    )


async def test_a_generated_code_is_priced_in_its_project_only(engine: Harness) -> None:
    await engine.event(SHOP, _campaign(), source="campaigns")
    await engine.event(SHOP, _generated(["A", "B"]), source="campaigns")
    body = await _validate(engine, SHOP, _stack("A"))
    assert body["valid"] is True
    assert body["order"]["total_amount"] == 9000
    assert body["order"]["total_applied_discount_amount"] == 1000
    assert body["redeemables"][0]["campaign_id"] == "camp_1"
    other = await _validate(engine, OTHER, _stack("A"))
    assert other["valid"] is False
    assert other["redeemables"][0]["result"]["error"]["key"] == "not_found"


async def test_a_changed_campaign_prices_its_codes_anew(engine: Harness) -> None:
    await engine.event(SHOP, _campaign(), source="campaigns")
    await engine.event(SHOP, _generated(["A"]), source="campaigns")
    await _validate(engine, SHOP, _stack("A"))
    changed = _campaign(version=2).campaign
    assert changed.voucher is not None
    template = changed.voucher.model_copy(
        update={"discount": {"type": "AMOUNT", "amount_off": 300, "effect": "APPLY_TO_ORDER"}}
    )
    await engine.event(
        SHOP,
        campaigns.CampaignUpdated(campaign=changed.model_copy(update={"voucher": template})),
        source="campaigns",
    )
    body = await _validate(engine, SHOP, _stack("A"))
    assert body["order"]["total_amount"] == 9700


async def test_a_plan_carries_accounts_and_ids(engine: Harness) -> None:
    await engine.event(SHOP, _campaign(), source="campaigns")
    await engine.event(SHOP, _generated(["A"]), source="campaigns")
    plan = await _plan(engine, _stack("A"))
    voucher_id = ids.voucher_id(SHOP, "A")
    order_id = ids.order_id(SHOP, "order-1")
    assert plan.refusal is None
    assert plan.parent_id is None
    assert plan.order is not None
    assert (plan.order["id"], plan.order["status"]) == (order_id, "PAID")
    assert plan.customer is not None
    assert plan.customer["id"] == ids.customer_id(SHOP, "anna")
    assert plan.customer_changes == {"source_id": "anna"}
    [redemption] = plan.redemptions
    assert redemption.discount_amount == 1000
    [posting] = redemption.postings
    assert (posting.account, posting.amount, posting.limit) == (f"uses/{voucher_id}", 1, 1)
    assert posting.contra == f"order/{order_id}"
    assert posting.error.key == "quantity_exceeded"
    assert engine.bus.sent[-1].key == "camp_1", "decided by one consumer per campaign"


async def test_the_ledgers_events_move_the_view(engine: Harness) -> None:
    await engine.event(SHOP, _campaign(), source="campaigns")
    await engine.event(SHOP, _generated(["A"]), source="campaigns")
    plan = await _plan(engine, _stack("A"))
    uses = f"uses/{ids.voucher_id(SHOP, 'A')}"
    await engine.event(SHOP, _posted(plan, {uses: 1}), source="ledger")
    body = await _validate(engine, SHOP, _stack("A"))
    assert body["redeemables"][0]["result"]["error"]["key"] == "quantity_exceeded"
    again = await _plan(engine, _stack("A"))
    assert again.refusal is None, "only the ledger refuses for want of uses"


async def test_an_older_event_does_not_turn_an_account_back(engine: Harness) -> None:
    await engine.event(SHOP, _campaign(), source="campaigns")
    await engine.event(SHOP, _generated(["A"]), source="campaigns")
    plan = await _plan(engine, _stack("A"))
    uses = f"uses/{ids.voucher_id(SHOP, 'A')}"
    old, new = _posted(plan, {uses: 1}), _posted(plan, {uses: 7})
    engine._positions["ledger"] = 10
    await engine.event(SHOP, new, source="ledger", stream="redemption-b")
    engine._positions["ledger"] = 4
    await engine.event(SHOP, old, source="ledger", stream="redemption-x")
    [row] = await engine.rows("accounts")
    assert (row["used"], row["used_position"]) == (7, 11)


async def test_gift_balance_follows_adjustments(engine: Harness) -> None:
    await engine.event(SHOP, _campaign("GIFT_VOUCHER"), source="campaigns")
    await engine.event(SHOP, _generated(["G"]), source="campaigns")
    account = f"credits/{ids.voucher_id(SHOP, 'G')}"
    adjusted = ledger.BalanceAdjusted(
        transaction_id="vtx_1",
        voucher={"id": ids.voucher_id(SHOP, "G")},
        account=account,
        unit="credit",
        amount=500,
        limit=2500,
        limit_version=1,
        used=0,
        available=3000,
        adjusted_at=NOW,
    )
    await engine.event(SHOP, adjusted, source="ledger")
    body = await _validate(engine, SHOP, _stack("G"))
    assert body["redeemables"][0]["result"] == {"gift": {"credits": 3000}}
    assert body["order"]["total_amount"] == 7000
    plan = await _plan(engine, _stack("G"), attempt=2, available={account: 200})
    posting = plan.redemptions[0].postings[1]
    assert (posting.amount, posting.is_adjustable) == (200, True)


async def test_stored_customer_and_order_are_used(engine: Harness) -> None:
    await engine.event(SHOP, _campaign(), source="campaigns")
    await engine.event(SHOP, _generated(["A", "B"]), source="campaigns")
    anna = customers.Customer(
        id=ids.customer_id(SHOP, "anna"), source_id="anna", name="Anna", created_at=NOW
    )
    await engine.event(SHOP, customers.CustomerCreated(customer=anna), source="customers")
    plan = await _plan(engine, _stack("A"))
    assert plan.customer is not None
    assert plan.customer["name"] == "Anna"
    assert plan.customer_changes is None, "nothing new to store"
    await engine.event(SHOP, _posted(plan, {}), source="ledger")
    only_named = StackRequest(
        redeemables=[{"object": "voucher", "id": "B"}],
        tracking_id=ids.tracking_id(SHOP, "anna"),
        order={"source_id": "order-1"},
    )
    second = await _plan(engine, only_named)
    assert second.order is not None
    assert second.order["discount_amount"] == 1900, "10 % of 100.00, then 10 % of 90.00"
    assert second.order["applied_discount_amount"] == 900
    assert second.order["customer_id"] == anna.id


async def test_a_rule_that_has_not_arrived_is_waited_for(engine: Harness) -> None:
    await engine.event(SHOP, _campaign(), source="campaigns")
    await engine.event(SHOP, _generated(["A"]), source="campaigns")
    assigned = campaigns.ValidationRuleAssigned(
        assignment=campaigns.Assignment(
            id="asgm_1",
            rule_id="val_1",
            related_object_type="campaign",
            related_object_id="camp_1",
            created_at=NOW,
        )
    )
    await engine.event(SHOP, assigned, source="campaigns")
    request = ValidateStack(validation_id="valid_1", stack=_stack("A"), now=NOW)
    reply = await engine.request(SHOP, request)
    assert reply is not None
    assert reply.status == 503


async def test_bad_requests_name_the_property(engine: Harness) -> None:
    for stack, prop in (
        (StackRequest(redeemables=[]), "redeemables"),
        (StackRequest(redeemables=[{"object": "voucher"}]), "redeemables[0].id"),
        (StackRequest(redeemables=[{"id": 7}]), "redeemables[0].id"),
        (StackRequest(redeemables=[{"id": "A"}], order={"items": [3]}), "order.items[0]"),
        (StackRequest(redeemables=[{"id": "A"}], order={"amount": -1}), "order.amount"),
        (StackRequest(redeemables=[{"id": "A"}], customer={"id": 1}), "customer.id"),
        (StackRequest(redeemables=[{"id": "A"}], customer={"id": "a", "name": 1}), "customer.name"),
        (
            StackRequest(redeemables=[{"id": "A"}], order={"items": [{"product": 3}]}),
            "order.items[0].product",
        ),
    ):
        request = ValidateStack(validation_id="valid_1", stack=stack, now=NOW)
        reply = await engine.request(SHOP, request)
        assert reply is not None
        assert reply.status == 400
        assert reply.error is not None
        assert prop in (reply.error.details or ""), reply.error


async def test_a_nul_is_refused_wherever_it_stands(engine: Harness) -> None:
    for stack in (
        StackRequest(redeemables=[{"id": "v_\x00"}]),
        StackRequest(redeemables=[{"id": "A"}], tracking_id="\x00"),
        StackRequest(redeemables=[{"id": "A"}], order={"id": "ord_\x00"}),
        StackRequest(redeemables=[{"id": "A"}], metadata={"a": [{"b\x00": 1}]}),
    ):
        request = ValidateStack(validation_id="valid_1", stack=stack, now=NOW)
        reply = await engine.request(SHOP, request)
        assert reply is not None
        assert reply.status == 400
    harmless = StackRequest(redeemables=[{"id": "A"}], metadata={"a": "\\u0000"})
    assert (await _validate(engine, SHOP, harmless))["valid"] is False


async def test_an_answer_that_no_message_could_carry_is_refused(engine: Harness) -> None:
    items = [{"price": 1, "metadata": {"note": "x" * 1000}} for _ in range(500)]
    codes = [{"object": "voucher", "id": f"A{number}"} for number in range(30)]
    stack = StackRequest(redeemables=codes, order={"items": items})
    request = ValidateStack(validation_id="valid_1", stack=stack, now=NOW)
    reply = await engine.request(SHOP, request)
    assert reply is not None
    assert reply.error is not None
    assert (reply.status, reply.error.key) == (400, "invalid_payload")


async def test_thousands_of_codes_arrive_in_one_event(engine: Harness) -> None:
    await engine.event(SHOP, _campaign(), source="campaigns")
    codes = [f"CODE-{number}" for number in range(5000)]
    await engine.event(SHOP, _generated(codes), source="campaigns")
    assert len(await engine.rows("vouchers")) == 5000
    assert (await _validate(engine, SHOP, _stack("CODE-4999")))["valid"] is True


async def _coupon(engine: Harness, discount: JsonObject, included: list[JsonObject]) -> None:
    """A campaign with this discount, code A, and a rule that includes these products."""
    template = {"type": "DISCOUNT_VOUCHER", "discount": discount, "redemption": {"quantity": None}}
    await engine.event(SHOP, _campaign(voucher=template), source="campaigns")
    await engine.event(SHOP, _generated(["A"]), source="campaigns")
    rule = campaigns.ValidationRule(
        id="val_1",
        name="products",
        rules={},
        applicable_to={"included_all": False, "included": included, "excluded": []},
        created_at=NOW,
    )
    await engine.event(SHOP, campaigns.ValidationRuleCreated(rule=rule), source="campaigns")
    assigned = campaigns.ValidationRuleAssigned(
        assignment=campaigns.Assignment(
            id="asgm_1",
            rule_id="val_1",
            related_object_id="camp_1",
            related_object_type="campaign",
            created_at=NOW,
        )
    )
    await engine.event(SHOP, assigned, source="campaigns")


def _with_tees(quantity: int) -> StackRequest:
    return StackRequest(
        redeemables=[{"object": "voucher", "id": "A"}],
        customer={"source_id": "anna"},
        order={"items": [{"product_id": "prod_tee", "quantity": quantity, "price": 2000}]},
    )


async def test_units_that_a_discount_adds_have_the_catalogues_price(engine: Harness) -> None:
    product = catalog.Product(
        id="prod_gift", source_id="gift", name="Gift", price=500, created_at=NOW
    )
    await engine.event(SHOP, catalog.ProductCreated(product=product), source="catalog")
    free = {"type": "UNIT", "unit_off": 2, "unit_type": "prod_gift", "effect": "ADD_NEW_ITEMS"}
    await _coupon(engine, free, [])
    body = await _validate(engine, SHOP, _with_tees(1))
    added = body["order"]["items"][1]
    assert added["product"] == {
        "id": "prod_gift",
        "source_id": "gift",
        "name": "Gift",
        "price": 500,
    }
    assert (added["quantity"], added["price"], added["discount_amount"]) == (2, 500, 1000)
    assert body["redeemables"][0]["result"]["discount"]["product"]["name"] == "Gift"
    assert body["order"]["total_amount"] == 2000


async def test_units_are_counted_across_redemptions(engine: Harness) -> None:
    off = {"type": "AMOUNT", "amount_off": 100, "effect": "APPLY_TO_ITEMS_BY_QUANTITY"}
    tees = {"object": "product", "id": "prod_tee", "product_campaign_quantity_limit": 5}
    await _coupon(engine, off, [tees])
    account = "campaign-items/camp_1/prod_tee"
    plan = await _plan(engine, _with_tees(3))
    posting = next(p for p in plan.redemptions[0].postings if p.account == account)
    assert (posting.unit, posting.amount, posting.limit) == ("quantity", 3, 5)
    assert posting.is_adjustable
    await engine.event(SHOP, _posted(plan, {account: 3}), source="ledger")
    body = await _validate(engine, SHOP, _with_tees(3))
    assert body["order"]["items"][0]["applied_discount_quantity"] == 2
    handed_back = await _plan(engine, _with_tees(3), available={account: 1}, attempt=2)
    assert handed_back.redemptions[0].discount_amount == 100


def _placed(hold: ledger.PlaceHold) -> ledger.HoldPlaced:
    return ledger.HoldPlaced(
        session_key=hold.session_key,
        held=hold.postings,
        balances=[
            ledger.HeldBalance(account=one.account, unit=one.unit, held=one.amount, used=0)
            for one in hold.postings
        ],
        order_id=hold.order_id,
        expires_at=NOW,
        placed_at=NOW,
    )


async def test_a_session_sees_its_own_hold_and_others_do_not(engine: Harness) -> None:
    await engine.event(SHOP, _campaign(), source="campaigns")
    await engine.event(SHOP, _generated(["A"]), source="campaigns")
    sessions = {
        key: _stack("A").model_copy(update={"session": {"type": "LOCK", "key": key}})
        for key in ("mine", "other")
    }
    asked = ValidateStack(validation_id="valid_1", stack=sessions["mine"], now=NOW)
    assert await engine.request(SHOP, asked) is None, "passed on"
    sent = engine.sent[-1]
    assert (sent.topic, sent.key) == ("ledger.commands", "camp_1")
    hold = ledger.PlaceHold.from_json(sent.value)
    assert hold.validation == asked
    assert hold.order_id == ids.order_id(SHOP, "order-1")
    await engine.event(SHOP, _placed(hold), source="ledger", stream="hold-mine")
    for key, is_valid in (("mine", True), ("other", False)):
        await engine.request(SHOP, asked.model_copy(update={"stack": sessions[key]}))
        answer = ledger.PlaceHold.from_json(engine.sent[-1].value)
        assert answer.answer["valid"] is is_valid
    assert (await _validate(engine, SHOP, _stack("A")))["valid"] is False
    await engine.event(OTHER, _placed(hold), source="ledger", stream="hold-mine")
    released = ledger.HoldReleased(
        session_key="mine",
        reason="expired",
        balances=[ledger.HeldBalance(account=hold.postings[0].account, unit="use", held=0, used=0)],
        released_at=NOW,
    )
    await engine.event(SHOP, released, source="ledger", stream="hold-mine")
    assert (await _validate(engine, SHOP, _stack("A")))["valid"] is True


async def test_an_order_goes_on_from_what_the_ledger_sends_along(engine: Harness) -> None:
    await engine.event(SHOP, _campaign(), source="campaigns")
    await engine.event(SHOP, _generated(["A", "B"]), source="campaigns")
    first = await _plan(engine, _stack("A"))
    assert (first.order_version, first.turn) == (0, 1)
    second = await _plan(engine, _stack("B"), turn=2, order_version=1, known_order=first.order)
    assert (second.order_version, second.turn) == (1, 2)
    assert second.order is not None
    assert second.order["discount_amount"] == 1900
    posted = _posted(first, {}).model_copy(update={"order_version": 3, "order": second.order})
    await engine.event(SHOP, posted, source="ledger")
    third = await _plan(engine, _stack("B"), turn=2, order_version=1, known_order=first.order)
    assert third.order_version == 3, "the replica was newer"


async def test_formulas_ask_how_a_code_was_published(engine: Harness) -> None:
    """The customer's own publication counts, else the newest; other projects' do not."""
    formula = 'VOUCHER_PUBLISH_COUNT * 10 + PUBLICATION_METADATA("bonus")'
    discount = {
        "type": "PERCENT",
        "percent_off": 1,
        "percent_off_formula": formula,
        "effect": "APPLY_TO_ORDER",
    }
    template = {"type": "DISCOUNT_VOUCHER", "discount": discount}
    for project in (SHOP, OTHER):
        await engine.event(project, _campaign(voucher=template), source="campaigns")
        await engine.event(project, _generated(["TOLD"]), source="campaigns")
    for number, (project, customer) in enumerate(
        [(SHOP, "anna"), (SHOP, "bert"), (OTHER, "carl"), (SHOP, "bert")], 1
    ):
        publication = distribution.Publication(
            id=f"pub_{number}",
            customer={"id": ids.customer_id(project, customer)},
            vouchers=[{"id": ids.voucher_id(project, "TOLD"), "code": "TOLD"}],
            metadata={"bonus": number},
            created_at=NOW + timedelta(minutes=number),
        )
        event = distribution.PublicationSucceeded(publication=publication)
        await engine.event(project, event, source="distribution")
        if number == 1:
            # Delivered twice, it counts once.
            await engine.event(project, event, source="distribution")
    taken = {}
    for project, customer in ((SHOP, "anna"), (SHOP, "bert"), (SHOP, "dora"), (OTHER, "anna")):
        body = await _validate(engine, project, _stack("TOLD", customer=customer))
        taken[project, customer] = body["order"]["total_discount_amount"]
    assert taken == {
        (SHOP, "anna"): 3100,
        (SHOP, "bert"): 3400,
        (SHOP, "dora"): 3400,
        (OTHER, "anna"): 1300,
    }
