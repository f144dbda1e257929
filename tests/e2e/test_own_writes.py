"""Whoever sends back the positions of an answer reads what it wrote, at any gateway."""

import pytest

from tests.system import Api

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def test_positions_travel_in_a_header(api: Api) -> None:
    body = {"source_id": "shoe", "name": "Shoe", "price": 2000}
    written = api.call("POST", "/v1/products", body)
    positions = written.headers["x-tessera-positions"]
    assert positions.startswith("catalog/")
    headers = {"X-Tessera-Positions": positions}
    assert api.call("GET", "/v1/products/shoe", headers=headers).json["price"] == 2000
    ahead = {"X-Tessera-Positions": "catalog/0/9000000000000000"}
    answer = api.call("GET", "/v1/products/shoe", headers=ahead)
    assert (answer.status, answer.key) == (503, "service_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    wrong = api.call("GET", "/v1/products/shoe", headers={"X-Tessera-Positions": "nonsense"})
    assert (wrong.status, wrong.key) == (400, "invalid_header")


def test_a_sku_is_changed(api: Api) -> None:
    product = api.must("POST", "/v1/products", {"source_id": "shoe", "name": "Shoe"})
    skus = f"/v1/products/{product['id']}/skus"
    made = api.must("POST", skus, {"source_id": "shoe-42", "sku": "42", "price": 2000})
    changes = {"price": 1500, "currency": "EUR", "attributes": {"size": "42"}, "metadata": {"a": 1}}
    changed = api.must("PUT", f"{skus}/shoe-42", changes)
    assert (changed["id"], changed["price"], changed["sku"]) == (made["id"], 1500, "42")
    assert (changed["currency"], changed["metadata"]) == ("EUR", {"a": 1})
    assert api.must("GET", f"/v1/skus/{made['id']}")["attributes"] == {"size": "42"}
    moved = api.call("PUT", f"{skus}/shoe-42", {"source_id": "shoe-43"})
    assert (moved.status, "source_id" in moved.json["details"]) == (400, True)
    other = api.must("POST", "/v1/products", {"source_id": "sock", "name": "Sock"})
    foreign = api.call("PUT", f"/v1/products/{other['id']}/skus/shoe-42", {"price": 1})
    assert (foreign.status, foreign.key) == (404, "not_found")
    order = {"items": [{"sku_id": made["id"], "related_object": "sku", "quantity": 2}]}
    assert api.must("POST", "/v1/orders", order)["amount"] == 3000
    again = api.must("POST", skus, {"id": made["id"], "price": 900})
    assert (again["id"], again["price"]) == (made["id"], 900)
    nobody = api.call("POST", "/v1/products", {"id": "prod_nobody", "name": "Nothing"})
    assert (nobody.status, nobody.key) == (404, "not_found")
