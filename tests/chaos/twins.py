"""Two projects with the same names in them, so that a forgotten ``WHERE project_id`` shows.

Everything that has a name of the project's own choosing (codes, source ids, campaign names) is equal
in both. What differs is each project's mark, which stands in free text, and the ids.
"""

import re
import uuid
from typing import Any

from demo.outside import HookReceiver
from gateway.http import CLIENT, MANAGEMENT, SERVER, Operation
from tests.system import Json, System, cart, wait_until

NAME = "twin"
Headers = dict[str, str]
PARAMETER = re.compile(r"\{(\w+)\}")
HEADERS = {
    SERVER: ("X-App-Id", "X-App-Token"),
    CLIENT: ("X-Client-Application-Id", "X-Client-Token"),
    MANAGEMENT: ("X-Management-Id", "X-Management-Token"),
}


class Twin:
    """A project with one of everything; ``ids`` are by the name of the path's parameter."""

    def __init__(self, system: System, run: str, receiver: HookReceiver) -> None:
        # Off by default: a refusal for that alone would show nothing.
        self.api = system.project(client_publish_enabled=True)
        self.mark = f"mark{uuid.uuid4().hex}"
        self.name = f"{NAME}-{run}"
        self.receiver = receiver
        self.management = system.management()
        self.ids: dict[str, str] = {"projectId": self.api.project_id}
        self.texts: set[str] = set()
        self._fill()

    def key(self, kind: str) -> tuple[str, str]:
        """Return (id, token) of one of the project's keys."""
        made = self.api.made["server_side_key" if kind == SERVER else "client_side_key"]
        return made["app_id"], made["app_token"]

    def _fill(self) -> None:
        must, mark, name = self.api.must, self.mark, self.name
        hooks = f"/management/v1/projects/{self.api.project_id}/webhooks"
        body: Json = {
            "target_url": f"{self.receiver.url}/{mark}",
            "events": ["customer.created", "redemption.succeeded", "voucher.created"],
        }
        self.ids["webhookId"] = self.management.must("POST", hooks, body)["id"]
        customer = {"source_id": name, "name": mark, "email": f"{mark}@shop.example"}
        self.ids["customerId"] = must("POST", "/v1/customers", customer)["id"]
        product = must("POST", "/v1/products", {"source_id": name, "name": mark, "price": 1000})
        self.ids["productId"] = product["id"]
        skus = f"/v1/products/{product['id']}/skus"
        self.ids["skuId"] = must("POST", skus, {"source_id": f"{name}-s", "sku": mark})["id"]
        order = {"source_id": name, "amount": 5000, "metadata": {"mark": mark}}
        self.ids["orderId"] = must("POST", "/v1/orders", order)["id"]
        segment = {"name": mark, "type": "static", "customers": [self.ids["customerId"]]}
        self.ids["segmentId"] = must("POST", "/v1/segments", segment)["id"]
        rule = {"name": mark, "rules": {"1": {"name": "order.amount", "conditions": {"$is": [1]}}}}
        rule["rules"]["logic"] = "1"  # type: ignore[index]
        self.ids["validationRuleId"] = must("POST", "/v1/validation-rules", rule)["id"]
        self._campaign()
        self._redemption()
        self._distribution()

    def _campaign(self) -> None:
        must, mark, name = self.api.must, self.mark, self.name
        discount = {"type": "AMOUNT", "amount_off": 100, "effect": "APPLY_TO_ORDER"}
        voucher = {"type": "DISCOUNT_VOUCHER", "discount": discount, "redemption": {"quantity": 90}}
        campaign = {
            "name": name,
            "campaign_type": "DISCOUNT_COUPONS",
            "type": "STATIC",
            "vouchers_count": 3,
            "voucher": voucher,
            "metadata": {"mark": mark},
        }
        self.ids["campaignId"] = must("POST", "/v1/campaigns", campaign)["id"]
        path = f"/v1/campaigns/{self.ids['campaignId']}"
        wait_until(lambda: must("GET", path)["vouchers_count"] == 3, "codes", 60)
        self.ids["asyncActionId"] = must("GET", "/v1/async-actions")["async_actions"][0]["id"]
        made = must("POST", f"/v1/vouchers/{name}", {**voucher, "metadata": {"mark": mark}})
        self.ids["code"] = made["id"]
        rules = f"/v1/validation-rules/{self.ids['validationRuleId']}/assignments"
        assigned = must("POST", rules, {"voucher": self._other_voucher()})
        self.ids["assignmentId"] = assigned["id"]

    def _other_voucher(self) -> str:
        return self.api.voucher(code=f"{self.name}-assigned", metadata={"mark": self.mark})

    def _redemption(self) -> None:
        must = self.api.must
        body = cart(self.name, customer=self.name)
        body["metadata"] = {"mark": self.mark}
        made = must("POST", "/v1/redemptions", body)
        self.ids["redemptionId"] = self.ids["parentRedemptionId"] = made["redemptions"][0]["id"]
        back = must("POST", f"/v1/redemptions/{self._redeemed()}/rollback", {"reason": self.mark})
        self.ids["rollbackId"] = back["id"]
        campaign = {"name": self.name}
        published = {"campaign": campaign, "customer": {"source_id": self.name}}
        self.ids["publicationId"] = must("POST", "/v1/publications", published)["id"]

    def _redeemed(self) -> str:
        made = self.api.must("POST", "/v1/redemptions", cart(self.name, customer=self.name))
        return str(made["redemptions"][0]["id"])

    def _distribution(self) -> None:
        body = {
            "name": self.mark,
            "trigger": {"type": "customer.custom_event", "custom_event": {"name": "never"}},
            "message": {"channel": "email", "subject": self.mark, "text": "Hi"},
            "active": False,
        }
        self.ids["distributionId"] = self.api.must("POST", "/v1/distributions", body)["id"]
        deliveries = wait_until(
            lambda: self.api.must("GET", "/v1/webhook-deliveries")["data"], "webhooks", 60
        )
        self.ids["deliveryId"] = deliveries[0]["id"]

    def path(self, operation: Operation) -> str:
        """Return the operation's path with this project's ids; one nobody knows stays a guess."""
        return PARAMETER.sub(lambda match: self.id_of(match[1], operation.path), operation.path)

    def id_of(self, parameter: str, path: str) -> str:
        """Return the id for a parameter: known, or the first of the list before it in the path."""
        if parameter not in self.ids:
            listed = self.api.call("GET", path.partition("/{" + parameter)[0])
            lists = [one for one in (listed.json or {}).values() if isinstance(one, list) and one]
            first = lists[0][0] if lists and isinstance(lists[0][0], dict) else {}
            self.ids[parameter] = str(first.get("id", self.ids["campaignId"]))
        return self.ids[parameter]

    def named_path(self, operation: Operation) -> str:
        """Return the path with names, which the twin has too, where the API takes names."""
        named = {
            "customerId": self.name,
            "productId": self.name,
            "skuId": f"{self.name}-s",
            "orderId": self.name,
            "campaignId": self.name,
            "code": self.name,
        }
        return PARAMETER.sub(lambda m: named.get(m[1]) or self.ids.get(m[1], "x"), operation.path)

    def body(self, operation: Operation) -> Json:
        """Return a body that names this project's things wherever its fields can."""
        if operation.path.endswith("/assignments"):  # It takes one thing, not all that it could.
            return {"voucher": self.ids["code"]}
        return {name: self._field(name, kind.schema) for name, kind in operation.fields.items()}

    def _field(self, name: str, schema: Json) -> Any:
        known: Json = {
            "redeemables": [{"object": "voucher", "id": self.ids["code"]}],
            "customer": {"id": self.ids["customerId"]},
            "customers": [self.ids["customerId"]],
            "order": {"id": self.ids["orderId"], "amount": 100},
            "campaign": self.name if schema.get("type") == "string" else {"name": self.name},
            "campaign_id": self.ids["campaignId"],
            "voucher": self.ids["code"],
            "source_id": self.name,
            "validation_rules": [self.ids["validationRuleId"]],
            "target_url": self.receiver.url + "/nobody",
            "events": ["customer.created"],
            "items": [{"product_id": self.ids["productId"], "quantity": 1}],
            "rules": {
                "1": {"name": "customer.segment", "conditions": {"$is": ["x"]}},
                "logic": "1",
            },
            "campaign_type": "DISCOUNT_COUPONS",
            "type": (schema.get("enum") or ["DISCOUNT_VOUCHER"])[0],
        }
        empty = {"integer": 1, "boolean": False, "object": {}, "array": []}
        return known.get(name, empty.get(schema.get("type", ""), "x"))
