"""The engine's cases once more, as a merchant and a shop would meet them: made and asked over HTTP.

``services/engine/tests/cases`` says what a price is; there the pure core answers. Here everything that a
case gives is created with the public API in a project of its own (products, collections, customers,
segments, rules, vouchers, tiers, stacks, categories, stacking rules), the request goes to the running
system, and the same ``then`` must hold. Left out are cases that a client cannot bring about: those of another
day than today's, of a ledger's view, of plans and holds, and of definitions that cannot be saved.
The gate asks the published numbers, stacking and discounts; the full form asks all.
"""

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from engine.testing import MISSING, reach
from tests.chaos.kit import say
from tests.system import ROOT, Answer, Api, Json, System, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

CASES = ROOT / "services" / "engine" / "tests" / "cases"
OF_THE_GATE = (
    "vectors/published",
    "stacking/limits",
    "discounts/units",
    "discounts/caps",
    "gifts/credits",
)
BUILT_IN = {"prod_5h1pp1ng", "pc_a11pr0dUc75"}
NOT_OVER_HTTP = {"accounts", "own_holds", "holders", "publications", "stored_order", "api_key_id"}
"""What only the ledger, time or an earlier request can bring about."""
OF_A_DAY = re.compile(
    r"20\d\d-|TODAY|NOW|\$(today|tomorrow|yesterday|this_|last_|next_|dow|timeframe)"
)
DRAWN = {"request_id", "created_at"}


class NotSavedError(Exception):
    """The case gives something that the API refuses to save."""


class World:
    """A project with what a case gives; names of the case stand for the project's ids."""

    def __init__(self, system: System, given: Json) -> None:
        settings = {"timezone": given["timezone"]} if "timezone" in given else {}
        self.api: Api = system.project(**settings)
        self._system, self._given = system, given
        self.ids: dict[str, str] = {}
        self._fill()

    def _fill(self) -> None:
        given = self._given
        for name, sent in self._things("catalogue"):
            self._product(name, sent)
        for name, sent in self._things("collections"):
            self._collection(name, sent)
        for name, sent in self._things("customers"):
            body = {key: value for key, value in sent.items() if key != "id"}
            self._make(name, "/v1/customers", {"source_id": name, **body})
        for name, sent in self._things("segments"):
            self._segment(name, sent)
        for name, sent in self._things("rules"):
            body = {key: value for key, value in sent.items() if key not in {"id", "version"}}
            self._make(name, "/v1/validation-rules", {"name": name, **body})
        for name, sent in self._things("campaigns"):
            self._campaign(name, sent)
        for name, sent in given.get("vouchers", {}).items():
            self._voucher(name, sent)
        for name, sent in given.get("tiers", {}).items():
            self._tier(name, sent)
        for name, sent in given.get("stacks", {}).items():
            body = {"name": sent.get("name", name), "tiers": {"ids": self.real(sent["tiers"])}}
            self._make(name, f"/v1/promotions/{self._promotion()}/stacks", body)
        if given.get("stacking_rules"):
            path = f"/management/v1/projects/{self.api.project_id}/stacking-rules"
            self._accepted(
                self._system.management().call("POST", path, self.real(given["stacking_rules"]))
            )

    def _things(self, kind: str) -> list[tuple[str, Json]]:
        return [(str(one["id"]), one) for one in self._given.get(kind, [])]

    def _accepted(self, answer: Any) -> Any:
        if answer.status in {400, 404}:
            raise NotSavedError(answer.json.get("details") or answer.json["message"])
        assert answer.status < 300, answer
        return answer.json

    def _make(self, name: str, path: str, body: Json) -> Json:
        made: Json = self._accepted(self.ask(path, self.real(body)))
        self.ids[name] = made["id"]
        return made

    def _product(self, name: str, sent: Json) -> None:
        body = {key: value for key, value in sent.items() if key not in {"id", "object"}}
        if name.startswith("sku_"):
            if "product_id" not in body:
                raise NotSavedError(f"{name} is of no product")
            path = f"/v1/products/{self.real(body.pop('product_id'))}/skus"
            self._make(name, path, {"source_id": name, "sku": name, **body})
        else:
            self._make(name, "/v1/products", {"name": name, "source_id": name, **body})

    def _collection(self, name: str, sent: Json) -> None:
        if "filter" in sent:
            body: Json = {"type": "AUTO_UPDATE", "name": name, "filter": sent["filter"]}
        else:
            named = [("product", one) for one in sent.get("product_ids", [])]
            named += [("sku", one) for one in sent.get("sku_ids", [])]
            products = [{"object": kind, "id": one} for kind, one in named]
            body = {"type": "STATIC", "name": name, "products": products}
        self._make(name, "/v1/product-collections", body)

    def _segment(self, name: str, sent: Json) -> None:
        if "filter" in sent:
            filter_ = {"junction": "and", **sent["filter"]}
            body: Json = {"name": name, "type": "auto-update", "filter": filter_}
        else:
            body = {"name": name, "type": "static", "customers": sent.get("customer_ids", [])}
        self._make(name, "/v1/segments", body)

    def _campaign(self, name: str, sent: Json) -> None:
        body = {key: value for key, value in sent.items() if key != "id"}
        count = {} if body.get("campaign_type") == "PROMOTION" else {"vouchers_count": 1}
        self._make(name, "/v1/campaigns", {"name": name, **count, **body})

    def _voucher(self, name: str, sent: Json) -> None:
        known = {"definition", "rules", "active", "campaign_id", "version", "rules_version"}
        if set(sent) - known:
            raise NotSavedError(f"vouchers.{name}: {sorted(set(sent) - known)}")
        body = {**(sent.get("definition") or {}), "validation_rules": sent.get("rules", [])}
        if "campaign_id" in sent:
            path = f"/v1/campaigns/{self.real(sent['campaign_id'])}/vouchers/{name}"
            rules = body.pop("validation_rules")
            made = self._make(f"v_{name}", path, body)
            for rule in rules:
                path = f"/v1/validation-rules/{self.real(rule)}/assignments"
                self._accepted(self.ask(path, {"voucher": made["id"]}))
        else:
            self._make(f"v_{name}", f"/v1/vouchers/{name}", body)
        if not sent.get("active", True):
            self.api.must("POST", f"/v1/vouchers/{name}/disable", {})

    def _promotion(self) -> str:
        if "camp_promotion" not in self.ids:
            body = {"name": "camp_promotion", "campaign_type": "PROMOTION"}
            self._make("camp_promotion", "/v1/campaigns", body)
        return self.ids["camp_promotion"]

    def _tier(self, name: str, sent: Json) -> None:
        body = {key: value for key, value in sent.items() if key not in {"rules", "discount"}}
        campaign = self.real(body.pop("campaign_id", None)) or self._promotion()
        body |= {
            "action": {"discount": sent["discount"]},
            "validation_rules": sent.get("rules", []),
        }
        self._make(name, f"/v1/promotions/{campaign}/tiers", {"name": name, **body})

    def ask(self, path: str, body: Json) -> Answer:
        """Send a request, again with its key while it is undecided."""
        key = uuid.uuid4().hex

        def decided() -> Answer | None:
            answer = self.api.call("POST", path, body, key=key)
            return answer if answer.status != 503 else None

        answer: Answer = wait_until(decided, "an answer", 60)
        return answer

    def real(self, value: Any) -> Any:
        """Return the value with the project's ids where the case has names."""
        if isinstance(value, dict):
            return {self._id(name): self.real(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self.real(one) for one in value]
        return self._id(value) if isinstance(value, str) else value

    def _id(self, name: str) -> str:
        """Return what a name stands for; a product or category that is only named is made."""
        if name in BUILT_IN or name in self.ids:
            return self.ids.get(name, name)
        if re.fullmatch(r"prod_\w+", name):
            self._make_silently(name, "/v1/products", {"name": name, "source_id": name})
        elif re.fullmatch(r"cat_\w+", name):
            sent = self._given.get("categories", {}).get(name, {})
            self._make_silently(name, "/v1/categories", {"name": name, "hierarchy": 1, **sent})
        return self.ids.get(name, name)

    def _make_silently(self, name: str, path: str, body: Json) -> None:
        self.ids[name] = name  # While it is made its name stands for itself.
        self._make(name, path, body)

    def told(self, answer: Any) -> Any:
        """Return the answer with the case's names where the project has ids."""
        text = json.dumps(answer)
        for name, real in self.ids.items():
            text = text.replace(real, name)
        return json.loads(text)


@cache
def _load() -> list[tuple[str, Json]]:
    found = []
    for path in sorted(CASES.rglob("*.yaml")):
        place = str(path.relative_to(CASES).with_suffix(""))
        document = yaml.safe_load(path.read_text())
        for case in document["cases"]:
            given = {**document.get("given", {}), **case.get("given", {})}
            found.append((f"{place}: {case['it']}", {**case, "given": given}))
    return found


def _why_not(case: Json) -> str:
    """Return why a client cannot bring the case about, empty if it can."""
    when, given = case["when"], case["given"]
    if when.get("do", "validate") not in {"validate", "qualify"} or set(when) & {"now", "attempt"}:
        return "of the core"
    if any(given.get(name) for name in NOT_OVER_HTTP) or "available" in when:
        return "of an account"
    if OF_A_DAY.search(json.dumps([given, when], default=str)):
        return "of a day"
    return ""


class Worlds:
    """The projects that are made; cases with the same ``given`` share one."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._made: dict[str, World | NotSavedError] = {}
        self.left_out: Counter[str] = Counter()
        self.asked = 0

    def of(self, given: Json) -> World:
        key = json.dumps(given, sort_keys=True, default=str)
        if key not in self._made:
            try:
                self._made[key] = World(self._system, given)
            except NotSavedError as error:
                self._made[key] = error
        found = self._made[key]
        if isinstance(found, NotSavedError):
            raise found
        return found


@pytest.fixture(scope="module")
def worlds(system: System) -> Iterator[Worlds]:
    made = Worlds(system)
    yield made
    say(f"cases over HTTP: {made.asked} asked, left out {dict(made.left_out)}")


def _answer(world: World, when: Json) -> Json:
    request = world.real(when["request"])
    if when.get("do") == "qualify":
        body = {name: value for name, value in request.items() if name != "redeemables"}
        body |= {"scenario": when.get("scenario", "ALL")}
        body["options"] = world.real({"limit": 50, **when.get("options", {})})
        answer = world.ask("/v1/qualifications", body)
    else:
        named = [{"object": "voucher", **one} for one in request["redeemables"]]
        body = {**request, "redeemables": named}
        answer = world.ask("/v1/validations", body)
    told = world.told(_without_what_is_drawn(answer.json))
    if answer.status >= 400:
        return {"refused": told}
    if when.get("do") == "qualify":
        data = told["redeemables"]["data"]
        if "sorting_rule" not in when.get("options", {}):
            # The newest is first; a case names things from z to a.
            data.sort(key=lambda one: str(one["id"]), reverse=True)
        return {"offered": [one["id"] for one in data], "redeemables": data}
    return dict(told)


def _without_what_is_drawn(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_what_is_drawn(one) for name, one in value.items() if name not in DRAWN
        }
    return [_without_what_is_drawn(one) for one in value] if isinstance(value, list) else value


def _check(worlds: Worlds, case: Json) -> None:
    reason = _why_not(case)
    if not reason:
        try:
            world = worlds.of(case["given"])
        except NotSavedError as error:
            reason = f"cannot be saved: {error}"
    if reason:
        worlds.left_out[reason.partition(":")[0]] += 1
        pytest.skip(reason)
    worlds.asked += 1
    answer = _answer(world, case["when"])
    then = _without_what_is_drawn(case["then"])
    absent = then.pop("absent", [])
    assert {path: reach(answer, path) for path in then} == then, answer
    assert [path for path in absent if reach(answer, path) is not MISSING] == [], answer


OF_GATE = [one for one in _load() if one[0].startswith(OF_THE_GATE)]


@pytest.mark.parametrize("case", [case for _, case in OF_GATE], ids=[name for name, _ in OF_GATE])
def test_case(worlds: Worlds, case: Json) -> None:
    _check(worlds, case)


OTHERS = [one for one in _load() if not one[0].startswith(OF_THE_GATE)]


@pytest.mark.full
@pytest.mark.parametrize("case", [case for _, case in OTHERS], ids=[name for name, _ in OTHERS])
def test_case_in_full(worlds: Worlds, case: Json) -> None:
    _check(worlds, case)
