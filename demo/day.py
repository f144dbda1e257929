"""The eight steps of the day. Each says what it does and asserts that exactly that has happened."""

import hashlib
import hmac
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook
from voucherify import models

from demo import data
from demo.outside import Hook, HookReceiver, Mailbox, wait_for
from demo.shop import Answer, Json, Shop, call, publish

ROOT = Path(__file__).parent.parent


class Day:
    """What the steps hand on to each other."""

    def __init__(
        self, shop: Shop, env: dict[str, str], run: str, mailbox: Mailbox, receiver: HookReceiver
    ) -> None:
        self.shop = shop
        self.env = env
        self.run = run
        self.mailbox = mailbox
        self.receiver = receiver
        self.hook_secret = ""
        self.sale: Json = {}
        self.gifts: Json = {}
        self.code = ""
        self.gift_code = ""
        self.paid: Json = {}

    # -- 1 --------------------------------------------------------------------------------------

    def upstream_publishes(self) -> None:
        """An upstream system publishes its catalogue, customers and orders on Kafka."""
        bootstrap = self.env["KAFKA_BOOTSTRAP_SERVERS"]
        project_id = self.shop.project_id
        products = data.products()
        started = time.monotonic()
        publish(bootstrap, "intake.products", project_id, products)
        publish(bootstrap, "intake.customers", project_id, data.customers())
        publish(bootstrap, "intake.orders", project_id, data.orders())
        shop = self.shop
        wait_for("products", lambda: shop.products.list_products(limit=1).total >= len(products))
        wait_for(
            "customers", lambda: shop.customers.list_customers(limit=1).total >= data.CUSTOMERS
        )
        wait_for("orders", lambda: shop.orders.list_orders(limit=1).total >= data.ORDERS)
        took = time.monotonic() - started
        self._compare_with_upstream(products)
        _say(
            f"{len(products)} products, {data.CUSTOMERS} customers and {data.ORDERS} orders are in"
            f" the API {took:.1f} s after the first was published"
        )

    def _compare_with_upstream(self, products: list[Json]) -> None:
        shop = self.shop
        _equal("orders", shop.orders.list_orders(limit=1).total, data.ORDERS)
        for sent in data.orders()[:: data.ORDERS // 10]:
            order = shop.orders.get_order(order_id=sent["source_id"])
            _equal(
                sent["source_id"],
                (order.amount, order.status, len(order.items)),
                (sent["amount"], sent["status"], len(sent["items"])),
            )
        for sent in data.customers()[:: data.CUSTOMERS // 10]:
            customer = shop.customers.get_customer(customer_id=sent["source_id"])
            _equal(
                sent["source_id"],
                (customer.name, customer.email, customer.address.city, customer.metadata),
                (sent["name"], sent["email"], sent["address"]["city"], sent["metadata"]),
            )
        for sent in products:
            product = shop.products.get_product(product_id=sent["source_id"])
            _equal(
                sent["source_id"],
                (product.name, product.price, product.skus.total),
                (sent["name"], sent["price"], len(sent["skus"])),
            )

    # -- 2 --------------------------------------------------------------------------------------

    def marketer_creates_campaigns(self) -> None:
        """A marketer creates a campaign with limits, a standalone code and gift cards."""
        rule = self.shop.rules.create_validation_rules(
            validation_rules_create_request_body=models.ValidationRulesCreateRequestBody.from_dict(
                {
                    "name": f"Autumn limits {self.run}",
                    "rules": {
                        "1": {"name": "order.amount", "conditions": {"$more_than": [5000]}},
                        "2": {
                            "name": "campaign.redemptions.customers_count",
                            "conditions": {"$less_than_or_equal": [1]},
                        },
                        "3": {
                            "name": "campaign.orders.amount_discounted",
                            "conditions": {"$less_than_or_equal": [50000]},
                        },
                        "logic": "1 and 2 and 3",
                    },
                    "error": {"message": "This code is for orders above 50.00, once per customer"},
                }
            )
        )
        self.sale = self._create_campaign(
            {
                "name": f"Autumn sale {self.run}",
                "campaign_type": "DISCOUNT_COUPONS",
                "type": "STATIC",
                "vouchers_count": 5000,
                "validation_rules": [rule.id],
                "voucher": {
                    "type": "DISCOUNT_VOUCHER",
                    "discount": {"type": "PERCENT", "percent_off": 10, "effect": "APPLY_TO_ORDER"},
                    "redemption": {"quantity": 1},
                    "code_config": {"pattern": "AUTUMN-########"},
                },
            }
        )
        self._watch_generation(self.sale, 5000)
        self.gifts = self._create_campaign(
            {
                "name": f"Gift cards {self.run}",
                "campaign_type": "GIFT_VOUCHERS",
                "type": "STATIC",
                "vouchers_count": 50,
                "voucher": {
                    "type": "GIFT_VOUCHER",
                    "gift": {"amount": 2500, "effect": "APPLY_TO_ORDER"},
                    "redemption": {"quantity": None},
                    "code_config": {"prefix": "GIFT-", "length": 10},
                },
            }
        )
        self._watch_generation(self.gifts, 50)
        self._create_voucher("WELCOME10", amount_off=1000, quantity=100)
        voucher = self.shop.vouchers.get_voucher(code="WELCOME10")
        _equal("uses of WELCOME10", voucher.redemption.quantity, 100)
        codes = {v.code for v in self._vouchers(self.sale["id"], pages=50)}
        _equal("distinct codes on fifty pages", len(codes), 5000)

    def _create_campaign(self, body: Json) -> Json:
        answer = self.shop.campaigns.create_campaign(
            campaigns_create_request_body=models.CampaignsCreateRequestBody.from_dict(body)
        )
        created: Json = answer.to_dict()
        return created

    def _watch_generation(self, campaign: Json, total: int) -> None:
        seen: list[int] = []

        def done() -> bool:
            found = self.shop.campaigns.get_campaign(campaign_id=campaign["id"])
            if not seen or found.vouchers_count != seen[-1]:
                seen.append(found.vouchers_count)
            return bool(
                found.vouchers_generation_status == "DONE" and found.vouchers_count == total
            )

        started = time.monotonic()
        wait_for(f"{total} codes", done)
        took = time.monotonic() - started
        _equal("progress, ascending", seen, sorted(seen))
        actions = self.shop.async_actions.list_async_actions(limit=1).async_actions
        _equal("the asynchronous action", (actions[0].status, actions[0].progress), ("DONE", 100))
        _say(f"{campaign['name']}: {' → '.join(map(str, seen))} codes in {took:.1f} s")

    def _vouchers(self, campaign_id: str, pages: int = 1, first: int = 1) -> list[Any]:
        found = []
        for page in range(first, first + pages):
            answer = self.shop.vouchers.list_vouchers(
                campaign_id=campaign_id, limit=100, page=page, order="code"
            )
            found.extend(answer.vouchers)
        return found

    # -- 3 --------------------------------------------------------------------------------------

    def cart_is_abandoned(self) -> None:
        """A custom event arrives on Kafka; its customer gets a code by e-mail."""
        self.shop.call(
            "POST",
            "/v1/distributions",
            {
                "name": f"Abandoned carts {self.run}",
                "trigger": {
                    "type": "customer.custom_event",
                    "custom_event": {"name": "cart.abandoned"},
                },
                "campaign_id": self.sale["id"],
                "join_once": True,
                "active": True,
                "message": {
                    "channel": "email",
                    "subject": "{{ customer.name }}, your cart is waiting",
                    "text": "Your code: {{ voucher.code }}",
                    "html": "<p>Dear {{ customer.name }}, your code: <b>{{ voucher.code }}</b></p>",
                },
            },
        )
        self._publish_abandoned_cart("customer-007")
        text = wait_for("the e-mail", lambda: self.mailbox.text_of("customer-007@shop.example"))
        self.code = next(word for word in text.split() if word.startswith("AUTUMN-"))
        self._publish_abandoned_cart("customer-007")
        # Events are handled in order: when the next one's e-mail is there, the repeated one was seen.
        self._publish_abandoned_cart("customer-009")
        wait_for("the next e-mail", lambda: self.mailbox.text_of("customer-009@shop.example"))
        mails = [m for m in self.mailbox.messages if "customer-007@" in str(m["To"])]
        _equal("e-mails, though the event came twice", len(mails), 1)
        _say(f"the mailbox has one message for customer-007, with the code {self.code}")

    def _publish_abandoned_cart(self, customer: str) -> None:
        event = {
            "id": f"cart-{self.run}-{customer}",
            "event": "cart.abandoned",
            "customer": {"source_id": customer},
            "metadata": {"cart_value": 12_000},
        }
        bootstrap = self.env["KAFKA_BOOTSTRAP_SERVERS"]
        publish(bootstrap, "intake.custom-events", self.shop.project_id, [event])

    # -- 4 --------------------------------------------------------------------------------------

    def customer_pays(self) -> None:
        """The customer's cart is validated and redeemed with the code and a gift card."""
        self._subscribe()
        self.gift_code = self._vouchers(self.gifts["id"])[0].code
        body = self._stack(
            [self.code, self.gift_code], "customer-007", f"{self.run}-checkout", 10_000
        )
        validation = self.shop.validate(body)
        _equal("valid", validation["valid"], True)
        order = validation["order"]
        _equal("discount", order["total_applied_discount_amount"], 1000 + 2500)
        _equal("to pay", order["total_amount"], 6500)
        answer = self.shop.redeem(body)
        _equal("status", answer.status, 200)
        _equal("to pay", answer.body["order"]["total_amount"], 6500)
        self.paid = answer.body
        stored = self.shop.orders.get_order(order_id=f"{self.run}-checkout")
        _equal("order", stored.status, "PAID")
        again = self.shop.redeem(
            self._stack([self.code, self.gift_code], "customer-007", f"{self.run}-again", 10_000)
        )
        _equal("a second use of the code", again.status, 400)
        gift = self.shop.vouchers.get_voucher(code=self.gift_code)
        _equal("gift card's balance, untouched by the refusal", gift.gift.balance, 0)
        self._check_hook("redemption.succeeded")
        _say("100.00 − 10 % − gift card 25.00 = 65.00; the order is paid, the webhook verified")

    def _subscribe(self) -> None:
        created = call(
            self.env["TESSERA_URL"],
            "POST",
            f"/management/v1/projects/{self.shop.project_id}/webhooks",
            self._management_headers(),
            {
                "target_url": self.receiver.url,
                "events": ["redemption.succeeded", "redemption.rollback.succeeded"],
                "active": True,
            },
        )
        self.hook_secret = created["secret"]

    def _management_headers(self) -> dict[str, str]:
        return {
            "X-Management-Id": self.env["TESSERA_MANAGEMENT_ID"],
            "X-Management-Token": self.env["TESSERA_MANAGEMENT_TOKEN"],
        }

    def _check_hook(self, event_type: str) -> None:
        """Both signatures of the webhook about the first order are what its receiver computes."""
        parent = self.paid["parent_redemption"]["id"]

        def arrived() -> Hook | None:
            of_order = (h for h in self.receiver.hooks if parent.encode() in h.body)
            return next((h for h in of_order if h.json["type"] == event_type), None)

        hook = wait_for(f"the webhook {event_type}", arrived)
        Webhook(self.hook_secret).verify(hook.body, hook.headers)
        expected = hmac.new(self._webhook_token().encode(), hook.body, hashlib.sha256).hexdigest()
        _equal("x-voucherify-signature", hook.headers["x-voucherify-signature"], expected)

    def _webhook_token(self) -> str:
        path = f"/management/v1/projects/{self.shop.project_id}"
        project = call(self.env["TESSERA_URL"], "GET", path, self._management_headers())
        return str(project["webhook_token"])

    # -- 5 --------------------------------------------------------------------------------------

    def everybody_at_once(self) -> None:
        """200 clients redeem a code with 20 uses; then the campaign's budget runs out."""
        code = f"RUSH-{self.run}"
        self._create_voucher(code, amount_off=100, quantity=20)
        bodies = [
            self._stack([code], f"customer-{n % 200:03}", f"{self.run}-rush-{n}", 2000)
            for n in range(200)
        ]
        answers = self._at_once(bodies, 200)
        refused = [answer for answer in answers if answer.status == 400]
        _equal("successes", sum(answer.status == 200 for answer in answers), 20)
        _equal("refusals", {answer.key for answer in refused}, {"quantity_exceeded"})
        _equal("refused", len(refused), 180)
        _say("200 clients, 20 uses: 20 succeeded, 180 were told quantity_exceeded")
        self._exhaust_budget()

    def _exhaust_budget(self) -> None:
        codes = [v.code for v in self._vouchers(self.sale["id"], first=2) if v.code != self.code]
        bodies = [
            self._stack([codes[n]], f"customer-{100 + n:03}", f"{self.run}-budget-{n}", 10_000)
            for n in range(60)
        ]
        answers = self._at_once(bodies, 60)
        won = [answer.body for answer in answers if answer.status == 200]
        taken = sum(body["order"]["total_applied_discount_amount"] for body in won)
        before = self.paid["redemptions"][0]["order"]["total_applied_discount_amount"]
        _equal("discount given, in cents", taken + before, 50_000)
        refused = [(answer.status, answer.key) for answer in answers if answer.status != 200]
        _equal("refused for the budget", refused, [(400, "redemption_rules_violated")] * (60 - 49))
        _say(f"budget: {len(won) + 1} × 10.00 = 500.00, the other {60 - len(won)} were refused")

    # -- 6 --------------------------------------------------------------------------------------

    def redemption_is_rolled_back(self) -> None:
        """The first order is rolled back: use, credits and budget come back."""
        parent = self.paid["parent_redemption"]["id"]
        self.shop.redemptions.rollback_stacked_redemptions(parent_redemption_id=parent)
        gift = self.shop.vouchers.get_voucher(code=self.gift_code)
        _equal("gift card's balance", gift.gift.balance, 2500)
        voucher = self.shop.vouchers.get_voucher(code=self.code)
        _equal("uses of the code", voucher.redemption.redeemed_quantity, 0)
        order = self.shop.orders.get_order(order_id=f"{self.run}-checkout")
        _equal("order", order.status, "CANCELED")
        body = self._stack([self.code], "customer-007", f"{self.run}-after", 10_000)
        _equal("the budget has room for one more", self.shop.redeem(body).status, 200)
        spare = self._vouchers(self.sale["id"], first=3)[0].code
        body = self._stack([spare], "customer-008", f"{self.run}-too-much", 10_000)
        _equal("and for no other", self.shop.redeem(body).status, 400)
        self._check_hook("redemption.rollback.succeeded")
        _say("use, 25.00 of credit and 10.00 of budget are back; the order shows CANCELED")

    # -- 7 --------------------------------------------------------------------------------------

    def ledger_is_killed(self) -> None:
        """The ledger is killed in the middle of a burst and started again."""
        code = f"BURST-{self.run}"
        self._create_voucher(code, amount_off=100, quantity=250)
        bodies = [
            self._stack([code], f"customer-{n % 200:03}", f"{self.run}-burst-{n}", 2000)
            for n in range(300)
        ]
        with ThreadPoolExecutor(1) as aside:
            killing = aside.submit(self._kill_ledger_soon, code)
            answers = self._at_once(bodies, 40)
            killing.result()
        _equal("definite answers", {answer.status for answer in answers}, {200, 400})
        _equal("successes", sum(answer.status == 200 for answer in answers), 250)
        voucher = self.shop.vouchers.get_voucher(code=code)
        _equal("uses in the API", voucher.redemption.redeemed_quantity, 250)
        _say("killed in the burst: 300 requests, 250 successes, 50 refusals, none in doubt")
        _run("make", "audit")

    def _kill_ledger_soon(self, code: str) -> None:
        def has_begun() -> bool:
            used = self.shop.vouchers.get_voucher(code=code).redemption.redeemed_quantity
            return bool(used and used > 20)

        wait_for("the burst to begin", has_begun)
        _run("make", "kill", "SERVICE=ledger")

    # -- 8 --------------------------------------------------------------------------------------

    def read_model_is_rebuilt(self) -> None:
        """The gateway's read models are dropped and rebuilt from the log."""
        _run("make", "rebuild", "SERVICE=gateway")
        _say("every table is byte for byte what it was")

    # -- helpers --------------------------------------------------------------------------------

    def _create_voucher(self, code: str, amount_off: int, quantity: int) -> None:
        body = {
            "type": "DISCOUNT_VOUCHER",
            "discount": {"type": "AMOUNT", "amount_off": amount_off, "effect": "APPLY_TO_ORDER"},
            "redemption": {"quantity": quantity},
        }
        request = models.VouchersCreateWithSpecificCodeRequestBody.from_dict(body)
        self.shop.vouchers.create_voucher(
            code=code, vouchers_create_with_specific_code_request_body=request
        )

    def _at_once(self, bodies: list[Json], clients: int) -> list[Answer]:
        keys = [uuid.uuid4().hex for _ in bodies]
        with ThreadPoolExecutor(clients) as pool:
            return list(pool.map(self.shop.redeem, bodies, keys))

    def _stack(self, codes: list[str], customer: str, order: str, price: int) -> Json:
        return {
            "redeemables": [{"object": "voucher", "id": code} for code in codes],
            "customer": {"source_id": customer},
            "order": {
                "source_id": order,
                "amount": price,
                "items": [
                    {
                        "source_id": "runner",
                        "related_object": "product",
                        "quantity": 1,
                        "price": price,
                    }
                ],
            },
        }


def _run(*command: str) -> None:
    done = subprocess.run(  # noqa: S603 - the project's own make targets
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        message = f"{' '.join(command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}"
        raise AssertionError(message)
    for line in done.stdout.strip().splitlines()[-4:]:
        _say(line)


def _equal(what: str, found: Any, expected: Any) -> None:
    if found != expected:
        message = f"{what}: expected {expected!r}, found {found!r}"
        raise AssertionError(message)


def _say(text: str) -> None:
    print(f"   {text}", flush=True)


STEPS = [
    ("Upstream publishes", Day.upstream_publishes),
    ("A marketer creates campaigns", Day.marketer_creates_campaigns),
    ("A cart is abandoned", Day.cart_is_abandoned),
    ("The customer pays", Day.customer_pays),
    ("Everybody at once", Day.everybody_at_once),
    ("A redemption is rolled back", Day.redemption_is_rolled_back),
    ("The ledger is killed", Day.ledger_is_killed),
    ("A read model is rebuilt", Day.read_model_is_rebuilt),
]
