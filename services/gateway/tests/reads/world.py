"""A small shop's history: every event that the read models know, in streams as services write them."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from contracts import ids, public
from contracts.bulk import BulkAdvanced, BulkRefusal, BulkStarted
from contracts.campaigns import (
    Assignment,
    Campaign,
    CampaignCreated,
    CampaignDisabled,
    CampaignEnabled,
    CampaignUpdated,
    ValidationRule,
    ValidationRuleAssigned,
    ValidationRuleCreated,
    ValidationRuleDeleted,
    ValidationRuleUnassigned,
    ValidationRuleUpdated,
    Voucher,
    VoucherCreated,
    VoucherDefinition,
    VoucherDisabled,
    VoucherEnabled,
    VouchersBulkAdvanced,
    VouchersBulkStarted,
    VouchersGenerated,
    VouchersGenerationCompleted,
    VouchersGenerationFailed,
    VouchersGenerationStarted,
    VoucherUpdated,
)
from contracts.catalog import (
    Product,
    ProductCollection,
    ProductCollectionCreated,
    ProductCollectionDeleted,
    ProductCollectionUpdated,
    ProductCreated,
    ProductDeleted,
    ProductsBulkAdvanced,
    ProductsBulkStarted,
    ProductUpdated,
    Sku,
    SkuCreated,
    SkuDeleted,
    SkuUpdated,
)
from contracts.customers import (
    Customer,
    CustomerCreated,
    CustomerEnteredSegment,
    CustomerLeftSegment,
    CustomersBulkAdvanced,
    CustomersBulkStarted,
    CustomerUpdated,
    Order,
    OrderCreated,
    OrderUpdated,
    Segment,
    SegmentCreated,
)
from contracts.distribution import (
    Distribution,
    DistributionCreated,
    DistributionUpdated,
    Publication,
    PublicationFailed,
    PublicationSucceeded,
)
from contracts.errors import ErrorBody
from contracts.ledger import (
    BalanceAdjusted,
    HeldBalance,
    HoldPlaced,
    HoldReleased,
    Posted,
    Posting,
    RedeemedItem,
    RedemptionFailed,
    RedemptionRolledBack,
    RedemptionSucceeded,
    RollbackFailed,
    RolledBackItem,
)
from contracts.messages import Event
from contracts.promotions import (
    Category,
    CategoryCreated,
    CategoryDeleted,
    CategoryUpdated,
    PromotionStack,
    PromotionStackCreated,
    PromotionStackDeleted,
    PromotionStackUpdated,
    PromotionTier,
    PromotionTierCreated,
    PromotionTierDeleted,
    PromotionTierDisabled,
    PromotionTierEnabled,
    PromotionTierUpdated,
)
from contracts.webhooks import (
    DeliveryAttempted,
    Endpoint,
    EndpointCreated,
    EndpointDeleted,
    EndpointDisabled,
    EndpointSecretRotated,
    EndpointUpdated,
)

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
CODES = ["GEN-1", "GEN-2", "GEN-3"]
EXCEEDED = ErrorBody(code=400, key="quantity_exceeded", message="quantity exceeded")


class Happened(NamedTuple):
    """One event of the history."""

    source: str
    stream: str
    event: Event


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


PERCENT = VoucherDefinition(
    type="DISCOUNT_VOUCHER",
    discount={"type": "PERCENT", "percent_off": 10.0, "effect": "APPLY_TO_ORDER"},
    redemption={"quantity": 2},
    metadata={"kind": "autumn"},
    start_date=at(-60),
    expiration_date=datetime(2027, 1, 1, tzinfo=UTC),
)
GIFT = VoucherDefinition(
    type="GIFT_VOUCHER",
    gift={"amount": 5000, "effect": "APPLY_TO_ORDER"},
    redemption={"quantity": None},
)


def bulk(
    action_id: str, kind: str, started: type[BulkStarted], advanced: type[BulkAdvanced]
) -> list[tuple[str, Event]]:
    """An asynchronous change in two parts, of which the second had an element that was refused."""
    begun = started(action_id=action_id, kind=kind, total=3, started_at=at(20))
    halfway = advanced(action_id=action_id, done=2, total=3, refused=[], advanced_at=at(21))
    refused = BulkRefusal(
        row=4,
        source_id="mug",
        code="MUG",
        key="invalid_payload",
        message="Invalid payload",
        details="price: must be an integer",
    )
    ended = advanced(action_id=action_id, done=3, total=3, refused=[refused], advanced_at=at(22))
    return [(f"bulk-{action_id}", event) for event in (begun, halfway, ended)]


class World:
    """The history of one project, and the ids of what is in it."""

    def __init__(self, project_id: str) -> None:
        self.project_id = project_id
        self.customer_id = ids.customer_id(project_id, "ada")
        self.other_id = ids.customer_id(project_id, "bob")
        self.order_id = ids.order_id(project_id, "o-1")
        self.gift_id = ids.voucher_id(project_id, "GIFT")
        self.solo_id = ids.voucher_id(project_id, "SOLO")
        self.product_id = ids.product_id(project_id, "shoe")
        self.sku_id = ids.sku_id(project_id, "shoe-42")
        self.generated = [ids.voucher_id(project_id, code) for code in CODES]
        self.happened: list[Happened] = [
            *self._campaigns(),
            *self._rules(),
            *self._promotions(),
            *self._catalog(),
            *self._customers(),
            *self._ledger(),
            *self._distribution(),
            *self._webhooks(),
        ]

    # -- campaigns --------------------------------------------------------------------------------

    def _campaigns(self) -> list[Happened]:
        autumn = Campaign(
            id="camp_1",
            name="Autumn",
            description="All of autumn",
            campaign_type="DISCOUNT_COUPONS",
            type="STATIC",
            voucher=PERCENT.model_copy(update={"code_config": {"pattern": "GEN-#"}}),
            metadata={"season": "autumn"},
            start_date=at(-60),
            validity_day_of_week=[1, 2, 3],
            created_at=at(0),
        )
        gifts = Campaign(
            id="camp_2",
            name="Gifts",
            campaign_type="GIFT_VOUCHERS",
            type="AUTO_UPDATE",
            voucher=GIFT,
            created_at=at(1),
        )
        promotion = Campaign(
            id="camp_3", name="Tiers", campaign_type="PROMOTION", type="STATIC", created_at=at(2)
        )
        changed = autumn.model_copy(update={"description": None, "updated_at": at(9), "version": 5})
        off = promotion.model_copy(update={"active": False, "updated_at": at(3), "version": 2})
        started = VouchersGenerationStarted(
            campaign_id="camp_1", action_id="aa_1", total=3, started_at=at(0)
        )
        first = VouchersGenerated(
            campaign_id="camp_1",
            action_id="aa_1",
            codes=CODES[:2],
            done=2,
            total=3,
            generated_at=at(0.5),
        )
        second = first.model_copy(update={"codes": CODES[2:], "done": 3, "generated_at": at(1)})
        completed = VouchersGenerationCompleted(
            campaign_id="camp_1", action_id="aa_1", total=3, completed_at=at(1)
        )
        failed_start = started.model_copy(
            update={"campaign_id": "camp_3", "action_id": "aa_2", "total": 9}
        )
        failed = VouchersGenerationFailed(
            campaign_id="camp_3",
            action_id="aa_2",
            done=0,
            total=9,
            error=EXCEEDED,
            failed_at=at(4),
        )
        history = [
            ("campaign-camp_1", CampaignCreated(campaign=autumn)),
            ("campaign-camp_1", started),
            ("campaign-camp_1", first),
            ("campaign-camp_1", second),
            ("campaign-camp_1", completed),
            ("campaign-camp_1", CampaignUpdated(campaign=changed)),
            ("campaign-camp_2", CampaignCreated(campaign=gifts)),
            ("campaign-camp_3", CampaignCreated(campaign=promotion)),
            ("campaign-camp_3", failed_start),
            ("campaign-camp_3", failed),
            ("campaign-camp_3", CampaignDisabled(campaign=off)),
            ("campaign-camp_3", CampaignEnabled(campaign=promotion)),
            ("campaign-camp_3", CampaignDisabled(campaign=off)),
            *bulk("aa_3", "VOUCHERS.BULK_UPDATE", VouchersBulkStarted, VouchersBulkAdvanced),
            *self._vouchers(),
        ]
        return [Happened("campaigns", stream, event) for stream, event in history]

    def _vouchers(self) -> list[tuple[str, Event]]:
        solo = Voucher(id=self.solo_id, code="SOLO", definition=PERCENT, created_at=at(5))
        off = solo.model_copy(update={"active": False, "updated_at": at(6), "version": 2})
        card = Voucher(id=self.gift_id, code="GIFT", campaign_id="camp_2", created_at=at(4))
        own = PERCENT.model_copy(update={"redemption": {"quantity": 7}, "additional_info": "box"})
        changed = Voucher(
            id=self.generated[1],
            code=CODES[1],
            campaign_id="camp_1",
            definition=own,
            created_at=at(0.5),
            updated_at=at(10),
            version=2,
        )
        disabled = Voucher(
            id=self.generated[2],
            code=CODES[2],
            campaign_id="camp_1",
            active=False,
            created_at=at(1),
            updated_at=at(11),
        )
        return [
            (f"voucher-{self.solo_id}", VoucherCreated(voucher=solo)),
            (f"voucher-{self.solo_id}", VoucherDisabled(voucher=off)),
            (f"voucher-{self.solo_id}", VoucherEnabled(voucher=solo)),
            (f"voucher-{self.gift_id}", VoucherCreated(voucher=card, gift_amount=5000)),
            (f"voucher-{self.generated[1]}", VoucherUpdated(voucher=changed)),
            (f"voucher-{self.generated[2]}", VoucherDisabled(voucher=disabled)),
        ]

    def _rules(self) -> list[Happened]:
        rule = ValidationRule(
            id="val_1",
            name="Big orders",
            rules={
                "1": {"name": "order.amount", "conditions": {"$more_than": [1000]}},
                "logic": "1",
            },
            error={"message": "Buy more"},
            created_at=at(5),
        )
        assigned = Assignment(
            id="asgm_1",
            rule_id="val_1",
            related_object_type="campaign",
            related_object_id="camp_1",
            created_at=at(6),
        )
        renamed = rule.model_copy(
            update={"name": "Bigger orders", "version": 2, "updated_at": at(6)}
        )
        unused = rule.model_copy(update={"id": "val_2", "name": "Unused"})
        third = assigned.model_copy(update={"id": "asgm_3", "related_object_id": "camp_2"})
        second = assigned.model_copy(
            update={
                "id": "asgm_2",
                "related_object_type": "voucher",
                "related_object_id": self.solo_id,
                "created_at": at(7),
            }
        )
        return [
            Happened("campaigns", "rule-val_1", ValidationRuleCreated(rule=rule)),
            Happened("campaigns", "rule-val_1", ValidationRuleUpdated(rule=renamed)),
            Happened("campaigns", "assignment-1", ValidationRuleAssigned(assignment=assigned)),
            Happened("campaigns", "assignment-2", ValidationRuleAssigned(assignment=second)),
            Happened("campaigns", "assignment-3", ValidationRuleAssigned(assignment=third)),
            Happened("campaigns", "assignment-3", ValidationRuleUnassigned(assignment=third)),
            Happened("campaigns", "rule-val_2", ValidationRuleCreated(rule=unused)),
            Happened("campaigns", "rule-val_2", ValidationRuleDeleted(rule_id="val_2")),
        ]

    def _promotions(self) -> list[Happened]:
        books = Category(id="cat_1", name="Books", hierarchy=2, created_at=at(1))
        first = books.model_copy(update={"hierarchy": 0, "updated_at": at(2), "version": 2})
        gone = Category(id="cat_2", name="Gone", hierarchy=1, created_at=at(3))
        tier = PromotionTier(
            id="promo_1",
            campaign_id="camp_3",
            name="Ten off",
            banner="10 % off everything",
            action={
                "discount": {"type": "PERCENT", "percent_off": 10.0, "effect": "APPLY_TO_ORDER"}
            },
            metadata={"shelf": "front"},
            hierarchy=2,
            start_date=at(-60),
            validity_day_of_week=[1, 2],
            category_id="cat_1",
            created_at=at(4),
        )
        off = tier.model_copy(update={"active": False, "updated_at": at(5), "version": 2})
        renamed = tier.model_copy(update={"name": "Ten", "updated_at": at(6), "version": 3})
        second = PromotionTier(
            id="promo_2",
            campaign_id="camp_3",
            name="One off",
            action={"discount": {"type": "AMOUNT", "amount_off": 100.0}},
            created_at=at(5),
        )
        third = second.model_copy(update={"id": "promo_3"})
        stack = PromotionStack(
            id="stack_1",
            campaign_id="camp_3",
            name="Both",
            tier_ids=["promo_2", "promo_1"],
            category_id="cat_1",
            created_at=at(6),
        )
        changed = stack.model_copy(update={"name": "Two", "updated_at": at(7), "version": 2})
        other = stack.model_copy(update={"id": "stack_2", "category_id": None})
        history = [
            ("category-cat_1", CategoryCreated(category=books)),
            ("category-cat_1", CategoryUpdated(category=first)),
            ("category-cat_2", CategoryCreated(category=gone)),
            ("category-cat_2", CategoryDeleted(category=gone)),
            ("promotion-tier-promo_1", PromotionTierCreated(tier=tier)),
            ("promotion-tier-promo_1", PromotionTierDisabled(tier=off)),
            ("promotion-tier-promo_1", PromotionTierEnabled(tier=tier)),
            ("promotion-tier-promo_1", PromotionTierUpdated(tier=renamed)),
            ("promotion-tier-promo_2", PromotionTierCreated(tier=second)),
            ("promotion-tier-promo_3", PromotionTierCreated(tier=third)),
            ("promotion-tier-promo_3", PromotionTierDeleted(tier=third)),
            ("promotion-stack-stack_1", PromotionStackCreated(stack=stack)),
            ("promotion-stack-stack_1", PromotionStackUpdated(stack=changed)),
            ("promotion-stack-stack_2", PromotionStackCreated(stack=other)),
            ("promotion-stack-stack_2", PromotionStackDeleted(stack=other)),
        ]
        return [Happened("campaigns", stream, event) for stream, event in history]

    # -- catalogue and customers ------------------------------------------------------------------

    def _catalog(self) -> list[Happened]:
        shoe = Product(
            id=self.product_id,
            source_id="shoe",
            name="Shoe",
            price=9900,
            attributes=["size"],
            metadata={"brand": "x"},
            created_at=at(0),
        )
        size = Sku(
            id=self.sku_id,
            product_id=shoe.id,
            source_id="shoe-42",
            sku="42",
            price=9900,
            currency="EUR",
            attributes={"size": "42"},
            created_at=at(1),
        )
        cheaper = shoe.model_copy(update={"price": 8900, "updated_at": at(2)})
        plain = Product(id="prod_2", created_at=at(3))
        shoes = ProductCollection(
            id="pc_1",
            name="Shoes",
            type="STATIC",
            products=[
                {"id": self.product_id, "object": "product"},
                {"id": self.sku_id, "object": "sku", "product_id": self.product_id},
            ],
            created_at=at(3),
        )
        renamed = shoes.model_copy(update={"name": "All shoes", "updated_at": at(4)})
        cheap = ProductCollection(
            id="pc_2",
            name="Cheap",
            type="AUTO_UPDATE",
            filter={"junction": "and", "price": {"conditions": {"$less_than": [9000]}}},
            created_at=at(3),
        )
        dearer = size.model_copy(update={"price": 9950, "updated_at": at(3)})
        history = [
            (f"product-{shoe.id}", ProductCreated(product=shoe)),
            (f"product-{shoe.id}", ProductUpdated(product=cheaper)),
            ("product-prod_2", ProductCreated(product=plain)),
            (f"sku-{size.id}", SkuCreated(sku=size)),
            (f"sku-{size.id}", SkuUpdated(sku=dearer)),
            ("product-prod_3", ProductCreated(product=plain.model_copy(update={"id": "prod_3"}))),
            ("product-prod_3", ProductDeleted(product_id="prod_3")),
            ("sku-sku_3", SkuCreated(sku=size.model_copy(update={"id": "sku_3"}))),
            ("sku-sku_3", SkuDeleted(sku_id="sku_3", product_id=shoe.id)),
            ("collection-pc_1", ProductCollectionCreated(collection=shoes)),
            ("collection-pc_1", ProductCollectionUpdated(collection=renamed)),
            ("collection-pc_2", ProductCollectionCreated(collection=cheap)),
            (
                "collection-pc_3",
                ProductCollectionCreated(collection=cheap.model_copy(update={"id": "pc_3"})),
            ),
            ("collection-pc_3", ProductCollectionDeleted(collection_id="pc_3")),
        ]
        history += bulk("aa_4", "PRODUCTS.BULK_UPDATE", ProductsBulkStarted, ProductsBulkAdvanced)
        return [Happened("catalog", stream, event) for stream, event in history]

    def _customers(self) -> list[Happened]:
        ada = Customer(
            id=self.customer_id,
            source_id="ada",
            name="Ada",
            email="ada@shop.example",
            phone="+49 30 1",
            address={"city": "Berlin", "country": "DE"},
            metadata={"tier": "vip", "age": 36},
            created_at=at(0),
        )
        named = ada.model_copy(update={"name": "Ada L.", "updated_at": at(1)})
        bob = Customer(id=self.other_id, source_id="bob", created_at=at(2))
        segment = Segment(
            id="seg_1", name="Listed", type="static", customer_ids=[ada.id], created_at=at(3)
        )
        moving = Segment(
            id="seg_2",
            name="VIPs",
            type="auto-update",
            filter={"junction": "and", "metadata.tier": {"conditions": {"$is": ["vip"]}}},
            created_at=at(4),
        )
        listed = {"segment_id": "seg_1", "segment_name": "Listed"}
        vip = {"segment_id": "seg_2", "segment_name": "VIPs"}
        stream, other = f"customer-{ada.id}", f"customer-{bob.id}"
        history = [
            (stream, CustomerCreated(customer=ada)),
            (stream, CustomerUpdated(customer=named)),
            (other, CustomerCreated(customer=bob)),
            ("segment-seg_1", SegmentCreated(segment=segment)),
            ("segment-seg_2", SegmentCreated(segment=moving)),
            (stream, CustomerEnteredSegment(customer_id=ada.id, **listed)),
            (stream, CustomerEnteredSegment(customer_id=ada.id, **vip)),
            (other, CustomerEnteredSegment(customer_id=bob.id, **vip)),
            (other, CustomerLeftSegment(customer_id=bob.id, **vip)),
            *self._orders(),
        ]
        history += bulk("aa_5", "CUSTOMERS.IMPORT_CSV", CustomersBulkStarted, CustomersBulkAdvanced)
        return [Happened("customers", stream, event) for stream, event in history]

    def _orders(self) -> list[tuple[str, Event]]:
        order = Order(
            id=self.order_id,
            source_id="o-1",
            customer_id=self.customer_id,
            amount=20000,
            initial_amount=20000,
            items=[self._item()],
            metadata={"shop": "web"},
            created_at=at(20),
        )
        paid = order.model_copy(
            update={
                "status": "PAID",
                "discount_amount": 2500,
                "total_discount_amount": 2500,
                "total_amount": 17500,
                "updated_at": at(30.01),
            }
        )
        alone = Order(id="ord_alone", status="FULFILLED", amount=100, created_at=at(21))
        return [
            (f"order-{order.id}", OrderCreated(order=order)),
            (
                f"order-{order.id}",
                OrderUpdated(
                    order=paid, previous_status="CREATED", caused_by="r_p", caused_at=at(30)
                ),
            ),
            ("order-ord_alone", OrderCreated(order=alone)),
        ]

    def _item(self) -> dict:
        return {
            "quantity": 2,
            "amount": 20000,
            "price": 10000,
            "subtotal_amount": 20000,
            "product": {"id": self.product_id, "source_id": "shoe", "name": "Shoe", "price": 8900},
        }

    # -- ledger -----------------------------------------------------------------------------------

    def snapshot(self, code: str, voucher_id: str, definition: VoucherDefinition, campaign=None):
        """Return a voucher as plans name it."""
        state = {"id": voucher_id, "code": code, "campaign_id": campaign, "created_at": at(0)}
        shown = public.voucher(
            state, definition.model_dump(mode="json"), campaign_name=None, balances={}
        )
        names = ("id", "code", "type", "campaign_id", "discount", "gift", "object")
        return {name: shown[name] for name in names if shown.get(name) is not None}

    def priced(self, order_id: str, source_id: str, amount: int, taken: int) -> dict:
        return {
            "id": order_id,
            "source_id": source_id,
            "status": "PAID",
            "amount": amount,
            "initial_amount": amount,
            "discount_amount": taken,
            "total_discount_amount": taken,
            "total_amount": amount - taken,
            "applied_discount_amount": taken,
            "total_applied_discount_amount": taken,
            "items": [self._item()],
            "customer_id": self.customer_id,
            "customer": {"id": self.customer_id, "object": "customer"},
            "metadata": {"shop": "web"},
        }

    def _ledger(self) -> list[Happened]:
        customer = {
            "id": self.customer_id,
            "source_id": "ada",
            "name": "Ada L.",
            "email": "ada@shop.example",
            "metadata": {"tier": "vip"},
        }
        history = [
            ("redemption-r_p", self._stack(customer)),
            ("redemption-r_4", self._again(customer, "r_4", 2600)),
            ("redemption-r_5", self._again(customer, "r_5", 2700)),
            ("redemption-r_3", self._single(customer)),
            ("redemption-r_3", self._rollback(customer)),
            ("redemption-r_6", self._of_tier(customer)),
            (
                "redemption-rf_1",
                RedemptionFailed(
                    redemption_id="rf_1",
                    redeemables=[{"object": "voucher", "id": "GEN-1"}],
                    refused={
                        "object": "voucher",
                        "id": "GEN-1",
                        "voucher": self.snapshot("GEN-1", self.generated[0], PERCENT, "camp_1"),
                    },
                    customer=customer,
                    order={"source_id": "o-9", "amount": 900, "items": [], "total_amount": 900},
                    error=EXCEEDED,
                    failed_at=at(32),
                ),
            ),
            (
                "redemption-rf_2",
                RedemptionFailed(
                    redemption_id="rf_2",
                    redeemables=[{"object": "voucher", "id": "NOPE"}],
                    refused={"object": "voucher", "id": "NOPE"},
                    error=ErrorBody(code=404, key="resource_not_found", message="Not found"),
                    failed_at=at(33),
                ),
            ),
            (
                "rollback-rrf_1",
                RollbackFailed(
                    rollback_id="rrf_1",
                    redemption_id="r_3",
                    campaign_ids=["camp_1"],
                    error=ErrorBody(
                        code=400, key="already_rolled_back", message="Already rolled back"
                    ),
                    failed_at=at(40),
                ),
            ),
            (
                "adjustment-vtx_a",
                BalanceAdjusted(
                    transaction_id="vtx_a",
                    voucher={
                        "id": self.gift_id,
                        "code": "GIFT",
                        "type": "GIFT_VOUCHER",
                        "campaign_id": "camp_2",
                    },
                    account=f"credits/{self.gift_id}",
                    unit="credit",
                    amount=700,
                    limit=5000,
                    limit_version=1,
                    used=500,
                    available=5200,
                    source_id="pos-1",
                    reason="goodwill",
                    adjusted_at=at(41),
                ),
            ),
            ("hold-ssn_1", self._held(300, 4900, at(42))),
            ("hold-ssn_1", self._held(0, 5200, at(43))),
        ]
        return [Happened("ledger", stream, event) for stream, event in history]

    def _held(self, held: int, available: int, moment: datetime) -> HoldPlaced | HoldReleased:
        account = f"credits/{self.gift_id}"
        balance = HeldBalance(
            account=account, unit="credit", held=held, used=500, available=available
        )
        if not held:
            return HoldReleased(
                session_key="ssn_1", reason="expired", balances=[balance], released_at=moment
            )
        posting = Posting(
            account=account, contra="world", unit="credit", amount=held, limit=5000, error=EXCEEDED
        )
        return HoldPlaced(
            session_key="ssn_1",
            held=[posting],
            balances=[balance],
            expires_at=moment,
            placed_at=moment,
        )

    def _stack(self, customer: dict) -> RedemptionSucceeded:
        order = self.priced(self.order_id, "o-1", 20000, 2500)
        contra = f"order/{self.order_id}"
        first = RedeemedItem(
            redemption_id="r_1",
            redeemable={"object": "voucher", "id": "GEN-1"},
            related_object_type="voucher",
            related_object_id=self.generated[0],
            voucher=self.snapshot("GEN-1", self.generated[0], PERCENT, "camp_1"),
            campaign_id="camp_1",
            campaign_name="Autumn",
            discount_amount=2000,
            result={"discount": PERCENT.discount},
            order=self.priced(self.order_id, "o-1", 20000, 2000),
            posted=[
                self._posted(f"uses/{self.generated[0]}", contra, "use", 1, 1, 1),
                self._posted("campaign-discount/camp_1", contra, "discount", 2000, 2000, None),
            ],
        )
        second = RedeemedItem(
            redemption_id="r_2",
            redeemable={"object": "voucher", "id": "GIFT", "gift": {"credits": 500}},
            related_object_type="voucher",
            related_object_id=self.gift_id,
            voucher=self.snapshot("GIFT", self.gift_id, GIFT, "camp_2"),
            campaign_id="camp_2",
            campaign_name="Gifts",
            amount=500,
            discount_amount=500,
            result={"gift": {"credits": 500}},
            order=order,
            posted=[
                self._posted(f"uses/{self.gift_id}", contra, "use", 1, 1, None),
                self._posted(f"credits/{self.gift_id}", contra, "credit", 500, 500, 4500),
            ],
        )
        return RedemptionSucceeded(
            parent_id="r_p",
            items=[first, second],
            customer=customer,
            order=order,
            metadata={"till": 1},
            api_key_id="key_1",
            redeemed_at=at(30),
        )

    def _again(self, customer: dict, redemption_id: str, taken: int) -> RedemptionSucceeded:
        """Redeem another code on the order of the stack; two of these share one instant."""
        item = RedeemedItem(
            redemption_id=redemption_id,
            redeemable={"object": "voucher", "id": "GEN-2"},
            related_object_type="voucher",
            related_object_id=self.generated[1],
            voucher=self.snapshot("GEN-2", self.generated[1], PERCENT, "camp_1"),
            campaign_id="camp_1",
            discount_amount=100,
            posted=[],
        )
        order = self.priced(self.order_id, "o-1", 20000, taken)
        return RedemptionSucceeded(
            items=[item], customer=customer, order=order, redeemed_at=at(30.5)
        )

    def _posted(
        self, account: str, contra: str, unit: str, amount: int, used: int, left: int | None
    ) -> Posted:
        return Posted(
            account=account, contra=contra, unit=unit, amount=amount, used=used, available=left
        )

    def _single(self, customer: dict) -> RedemptionSucceeded:
        order_id = ids.order_id(self.project_id, "o-2")
        order = self.priced(order_id, "o-2", 1000, 100)
        item = RedeemedItem(
            redemption_id="r_3",
            redeemable={"object": "voucher", "id": "SOLO"},
            related_object_type="voucher",
            related_object_id=self.solo_id,
            voucher=self.snapshot("SOLO", self.solo_id, PERCENT),
            discount_amount=100,
            result={"discount": PERCENT.discount},
            order=order,
            posted=[
                self._posted(f"uses/{self.solo_id}", f"order/{order_id}", "use", 1, 1, 1),
                self._posted(
                    f"customer-uses/{self.solo_id}/{self.customer_id}", "world", "use", 1, 1, 0
                ),
            ],
        )
        return RedemptionSucceeded(items=[item], customer=customer, order=order, redeemed_at=at(31))

    def tier_snapshot(self) -> dict:
        """Return a tier as plans name it."""
        state = {
            "id": "promo_1",
            "campaign_id": "camp_3",
            "name": "Ten",
            "action": {
                "discount": {"type": "PERCENT", "percent_off": 10.0, "effect": "APPLY_TO_ORDER"}
            },
            "created_at": at(4),
        }
        return public.promotion_tier(state, {"id": "camp_3", "active": True})

    def _of_tier(self, customer: dict) -> RedemptionSucceeded:
        order_id = ids.order_id(self.project_id, "o-6")
        order = self.priced(order_id, "o-6", 1000, 100)
        item = RedeemedItem(
            redemption_id="r_6",
            redeemable={"object": "promotion_tier", "id": "promo_1"},
            related_object_type="promotion_tier",
            related_object_id="promo_1",
            promotion_tier=self.tier_snapshot(),
            promotion_stack={"id": "stack_1", "name": "Two"},
            campaign_id="camp_3",
            campaign_name="Tiers",
            discount_amount=100,
            result={"discount": PERCENT.discount},
            order=order,
            posted=[self._posted("tier-uses/promo_1", f"order/{order_id}", "use", 1, 1, None)],
        )
        return RedemptionSucceeded(items=[item], customer=customer, order=order, redeemed_at=at(35))

    def _rollback(self, customer: dict) -> RedemptionRolledBack:
        order_id = ids.order_id(self.project_id, "o-2")
        order = {
            **self.priced(order_id, "o-2", 1000, 0),
            "status": "CANCELED",
        }
        item = RolledBackItem(
            rollback_id="rr_1",
            redemption_id="r_3",
            related_object_type="voucher",
            related_object_id=self.solo_id,
            voucher=self.snapshot("SOLO", self.solo_id, PERCENT),
            posted=[
                self._posted(f"uses/{self.solo_id}", f"order/{order_id}", "use", -1, 0, 2),
                self._posted(
                    f"customer-uses/{self.solo_id}/{self.customer_id}", "world", "use", -1, 0, 1
                ),
            ],
        )
        return RedemptionRolledBack(
            redemption_id="r_3",
            items=[item],
            order=order,
            customer=customer,
            reason="returned",
            rolled_back_at=at(35),
        )

    # -- distribution and webhooks ----------------------------------------------------------------

    def _distribution(self) -> list[Happened]:
        ada = {"id": self.customer_id, "source_id": "ada", "name": "Ada L.", "metadata": {}}
        bob = {"id": self.other_id, "source_id": "bob"}
        code = {"id": self.generated[0], "code": "GEN-1", "campaign_id": "camp_1"}
        publication = Publication(
            id="pub_1",
            customer=ada,
            campaign_id="camp_1",
            vouchers=[code],
            source_id="p-1",
            metadata={"why": "birthday"},
            created_at=at(22),
        )
        again = Publication(
            id="pub_2", customer=bob, campaign_id="camp_1", vouchers=[code], created_at=at(24)
        )
        refused = Publication(id="pub_3", customer=bob, campaign_id="camp_1", created_at=at(23))
        error = ErrorBody(
            code=400, key="no_voucher_suitable_for_publication", message="Couldn't find any voucher"
        )
        automatic = Distribution(
            id="distr_1",
            name="Welcome",
            trigger={"type": "customer.custom_event", "custom_event": {"name": "signed_up"}},
            campaign_id="camp_1",
            message={"channel": "email", "subject": "Hi", "text": "{{ voucher.code }}"},
            created_at=at(20),
        )
        paused = automatic.model_copy(update={"active": False, "updated_at": at(21)})
        history = [
            ("publication-pub_1", PublicationSucceeded(publication=publication)),
            ("publication-pub_2", PublicationSucceeded(publication=again)),
            ("publication-pub_3", PublicationFailed(publication=refused, error=error)),
            ("distribution-distr_1", DistributionCreated(distribution=automatic)),
            ("distribution-distr_1", DistributionUpdated(distribution=paused)),
        ]
        return [Happened("distribution", stream, event) for stream, event in history]

    def _webhooks(self) -> list[Happened]:
        endpoint = Endpoint(
            id="wh_1",
            target_url="https://shop.example/hooks",
            events=["redemption.succeeded"],
            secret="ciphertext",
            created_at=at(0),
        )
        off = endpoint.model_copy(update={"active": False, "updated_at": at(50)})
        gone = endpoint.model_copy(update={"id": "wh_2"})
        first = DeliveryAttempted(
            delivery_id="whs_1",
            endpoint_id="wh_1",
            event_id="evt_1",
            event_type="redemption.succeeded",
            attempt=1,
            status="pending",
            response_status=500,
            duration_ms=12,
            attempted_at=at(31),
            next_attempt_at=at(32),
        )
        second = first.model_copy(
            update={
                "attempt": 2,
                "status": "delivered",
                "response_status": 200,
                "attempted_at": at(32),
                "next_attempt_at": None,
            }
        )
        history = [
            ("endpoint-wh_1", EndpointCreated(endpoint=endpoint)),
            ("endpoint-wh_1", EndpointUpdated(endpoint=endpoint)),
            (
                "endpoint-wh_1",
                EndpointSecretRotated(endpoint=endpoint, replaced="old", replaced_until=at(3)),
            ),
            ("endpoint-wh_1", EndpointDisabled(endpoint=off, reason="410")),
            ("endpoint-wh_2", EndpointCreated(endpoint=gone)),
            ("endpoint-wh_2", EndpointDeleted(endpoint_id="wh_2", deleted_at=at(2))),
            ("delivery-whs_1", first),
            ("delivery-whs_1", second),
        ]
        return [Happened("webhooks", stream, event) for stream, event in history]
