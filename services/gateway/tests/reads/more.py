"""More of the shop: so that every order, filter and parameter of a list has something to tell apart."""

from datetime import UTC, datetime

from contracts import ids
from contracts.campaigns import (
    Assignment,
    Campaign,
    CampaignCreated,
    CampaignUpdated,
    ValidationRule,
    ValidationRuleAssigned,
    ValidationRuleCreated,
    Voucher,
    VoucherCreated,
    VoucherDefinition,
    VouchersGenerationStarted,
)
from contracts.catalog import (
    Product,
    ProductCollection,
    ProductCollectionCreated,
    ProductCollectionUpdated,
    ProductCreated,
    ProductUpdated,
    Sku,
    SkuCreated,
    SkuUpdated,
)
from contracts.customers import (
    Customer,
    CustomerCreated,
    CustomerUpdated,
    Order,
    OrderCreated,
    OrderUpdated,
)
from contracts.distribution import Publication, PublicationSucceeded
from contracts.ledger import BalanceAdjusted, RedeemedItem, RedemptionSucceeded
from contracts.messages import Event
from contracts.promotions import (
    PromotionStack,
    PromotionStackCreated,
    PromotionStackUpdated,
    PromotionTier,
    PromotionTierCreated,
    PromotionTierUpdated,
)
from services.gateway.tests.reads.world import GIFT, PERCENT, Happened, World

SUMMER = datetime(2026, 7, 10, 12, 0, tzinfo=UTC)
NEXT_YEAR = datetime(2099, 1, 1, tzinfo=UTC)
REFERRAL = PERCENT.model_copy(update={"is_referral_code": True, "metadata": {"kind": "friend"}})
CARD = VoucherDefinition(type="LOYALTY_CARD", loyalty_card={"points": 5})


def more(world: World) -> list[Happened]:
    """Return what happened later in the year, in the same project."""
    told = [
        *[("campaigns", stream, event) for stream, event in _campaigns(world)],
        *[("campaigns", stream, event) for stream, event in _promotions()],
        *[("catalog", stream, event) for stream, event in _catalog(world)],
        *[("customers", stream, event) for stream, event in _customers(world)],
        *[("distribution", stream, event) for stream, event in _publications(world)],
        *[("ledger", stream, event) for stream, event in _ledger(world)],
    ]
    return [Happened(*one) for one in told]


def _campaigns(world: World) -> list[tuple[str, Event]]:
    referral = Campaign(
        id="camp_4",
        name="Friends",
        campaign_type="REFERRAL_PROGRAM",
        type="STANDALONE",
        voucher=REFERRAL,
        category_id="cat_1",
        validity_day_of_week=[5],
        validity_timeframe={"duration": "PT1H", "interval": "P2D"},
        expiration_date=SUMMER,
        created_at=SUMMER,
    )
    early = Campaign(
        id="camp_5",
        name="Cards",
        campaign_type="LOYALTY_PROGRAM",
        type="AUTO_UPDATE",
        voucher=CARD,
        category_id="cat_2",
        start_date=NEXT_YEAR,
        created_at=SUMMER.replace(day=11),
    )
    growing = VouchersGenerationStarted(
        campaign_id="camp_5", action_id="aa_3", total=7, started_at=SUMMER
    )
    friend = Voucher(
        id=ids.voucher_id(world.project_id, "FRIEND"),
        code="FRIEND",
        campaign_id="camp_4",
        created_at=SUMMER,
        updated_at=SUMMER.replace(day=12),
    )
    card = friend.model_copy(
        update={
            "id": ids.voucher_id(world.project_id, "CARD"),
            "code": "CARD",
            "campaign_id": "camp_5",
            "updated_at": None,
        }
    )
    rule = ValidationRule(
        id="val_2", name="A rule", created_at=SUMMER, updated_at=SUMMER.replace(day=13)
    )
    assigned = Assignment(
        id="asgm_3",
        rule_id="val_2",
        related_object_type="campaign",
        related_object_id="camp_4",
        created_at=SUMMER,
    )
    return [
        ("campaign-camp_4", CampaignCreated(campaign=referral)),
        (
            "campaign-camp_4",
            CampaignUpdated(campaign=referral.model_copy(update={"updated_at": SUMMER})),
        ),
        ("campaign-camp_5", CampaignCreated(campaign=early)),
        ("campaign-camp_5", growing),
        (f"voucher-{friend.id}", VoucherCreated(voucher=friend)),
        (f"voucher-{card.id}", VoucherCreated(voucher=card)),
        ("rule-val_2", ValidationRuleCreated(rule=rule)),
        ("rule-val_2", ValidationRuleAssigned(assignment=assigned)),
    ]


def _promotions() -> list[tuple[str, Event]]:
    """Return a promotion that is on, beside one that is off, and a tier of it that is not."""
    promotion = Campaign(
        id="camp_6",
        name="Summer tiers",
        campaign_type="PROMOTION",
        type="AUTO_UPDATE",
        created_at=SUMMER.replace(day=12),
    )
    tier = PromotionTier(
        id="promo_7",
        campaign_id="camp_6",
        name="Sun",
        action={"discount": {"type": "AMOUNT", "amount_off": 200.0}},
        created_at=SUMMER,
    )
    later = tier.model_copy(
        update={"id": "promo_8", "start_date": NEXT_YEAR, "updated_at": SUMMER.replace(day=11)}
    )
    stack = PromotionStack(
        id="stack_7",
        campaign_id="camp_6",
        name="All",
        tier_ids=["promo_7", "promo_8"],
        created_at=SUMMER,
    )
    named = stack.model_copy(update={"name": "Every", "updated_at": SUMMER.replace(day=11)})
    # Two of the campaign that has one already, so that its own list has something to sort.
    others = [
        stack.model_copy(update={"id": f"stack_{n}", "campaign_id": "camp_3", "name": f"S{n}"})
        for n in (8, 9)
    ]
    return [
        ("campaign-camp_6", CampaignCreated(campaign=promotion)),
        ("promotion-tier-promo_7", PromotionTierCreated(tier=tier)),
        ("promotion-tier-promo_8", PromotionTierCreated(tier=later)),
        ("promotion-tier-promo_8", PromotionTierUpdated(tier=later)),
        ("promotion-stack-stack_7", PromotionStackCreated(stack=stack)),
        ("promotion-stack-stack_7", PromotionStackUpdated(stack=named)),
        *[(f"promotion-stack-{one.id}", PromotionStackCreated(stack=one)) for one in others],
    ]


def _catalog(world: World) -> list[tuple[str, Event]]:
    hat = Product(id="prod_3", source_id="hat", name="Hat", created_at=SUMMER)
    newer = hat.model_copy(update={"updated_at": SUMMER.replace(day=11)})
    size = Sku(
        id="sku_3",
        product_id=world.product_id,
        source_id="shoe-43",
        sku="43",
        created_at=SUMMER,
        updated_at=SUMMER.replace(day=11),
    )
    other = size.model_copy(update={"id": "sku_4", "product_id": "prod_3", "source_id": "hat-1"})
    return [
        ("product-prod_3", ProductCreated(product=hat)),
        ("product-prod_3", ProductUpdated(product=newer)),
        ("sku-sku_3", SkuCreated(sku=size)),
        ("sku-sku_3", SkuUpdated(sku=size)),
        ("sku-sku_4", SkuCreated(sku=other)),
        *_collections(),
    ]


def _collections() -> list[tuple[str, Event]]:
    hats = ProductCollection(
        id="pc_4",
        name="Hats",
        type="STATIC",
        products=[{"id": "prod_3", "object": "product"}],
        created_at=SUMMER,
    )
    newer = hats.model_copy(update={"updated_at": SUMMER.replace(day=11)})
    return [
        ("collection-pc_4", ProductCollectionCreated(collection=hats)),
        ("collection-pc_4", ProductCollectionUpdated(collection=newer)),
    ]


def _customers(world: World) -> list[tuple[str, Event]]:
    cleo = Customer(
        id=ids.customer_id(world.project_id, "cleo"),
        source_id="cleo",
        name="Cleo",
        email="cleo@shop.example",
        address={"city": "Rome"},
        metadata={"tier": "regular", "age": 20, "tags": ["a", "b"], "since": "2026-07-10"},
        created_at=SUMMER,
    )
    # Made at one instant with the one before.
    twin = cleo.model_copy(
        update={
            "id": ids.customer_id(world.project_id, "dan"),
            "source_id": "dan",
            "name": "Dan",
            "email": None,
            "metadata": {"tags": [], "since": "not a day", "age": "old"},
        }
    )
    changed = twin.model_copy(update={"updated_at": SUMMER.replace(day=11)})
    order = Order(id="ord_later", source_id="o-9", amount=900, created_at=SUMMER)
    paid = order.model_copy(update={"status": "PAID", "updated_at": SUMMER.replace(day=11)})
    return [
        (f"customer-{cleo.id}", CustomerCreated(customer=cleo)),
        (f"customer-{twin.id}", CustomerCreated(customer=twin)),
        (f"customer-{twin.id}", CustomerUpdated(customer=changed)),
        ("order-ord_later", OrderCreated(order=order)),
        ("order-ord_later", OrderUpdated(order=paid, previous_status="CREATED")),
    ]


def _publications(world: World) -> list[tuple[str, Event]]:
    cleo = {"id": ids.customer_id(world.project_id, "cleo"), "source_id": "cleo", "name": "Cleo"}
    friend = {"id": ids.voucher_id(world.project_id, "FRIEND"), "code": "FRIEND"}
    card = {"id": ids.voucher_id(world.project_id, "CARD"), "code": "CARD"}
    one = Publication(
        id="pub_4", customer=cleo, campaign_id="camp_4", vouchers=[friend], created_at=SUMMER
    )
    other = Publication(
        id="pub_5",
        customer=cleo,
        campaign_id="camp_5",
        vouchers=[card],
        source_id="p-5",
        channel="SMTP",
        created_at=SUMMER.replace(day=11),
    )
    return [
        ("publication-pub_4", PublicationSucceeded(publication=one)),
        ("publication-pub_5", PublicationSucceeded(publication=other)),
    ]


def _ledger(world: World) -> list[tuple[str, Event]]:
    voucher_id = ids.voucher_id(world.project_id, "FRIEND")
    cleo = {"id": ids.customer_id(world.project_id, "cleo"), "source_id": "cleo", "name": "Cleo"}
    item = RedeemedItem(
        redemption_id="r_9",
        redeemable={"object": "voucher", "id": "FRIEND"},
        related_object_type="voucher",
        related_object_id=voucher_id,
        voucher=world.snapshot("FRIEND", voucher_id, REFERRAL, "camp_4"),
        campaign_id="camp_4",
        discount_amount=100,
        posted=[],
    )
    redeemed = RedemptionSucceeded(items=[item], customer=cleo, order=None, redeemed_at=SUMMER)
    voucher = {"id": world.gift_id, "code": "GIFT", "type": GIFT.type, "campaign_id": "camp_2"}
    taken = BalanceAdjusted(
        transaction_id="vtx_b",
        voucher=voucher,
        account=f"credits/{world.gift_id}",
        unit="credit",
        amount=-200,
        limit=5000,
        limit_version=1,
        used=500,
        available=5000,
        adjusted_at=SUMMER,
    )
    return [("redemption-r_9", redeemed), ("adjustment-vtx_b", taken)]
