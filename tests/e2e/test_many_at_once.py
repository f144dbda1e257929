"""A shop changes many products, customers and codes at once, and reads what became of each."""

from typing import Any

import pytest
import voucherify

from tests.system import Api, System, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def ended(api: Api, action_id: str) -> Any:
    def look() -> Any:
        action = api.must("GET", f"/v1/async-actions/{action_id}")
        return action["status"] == "DONE" and action

    return wait_until(look, f"the end of {action_id}", timeout_s=60)


def imported(api: Api, path: str, text: str) -> Any:
    body = (
        '--line\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n'
        f"Content-Type: text/csv\r\n\r\n{text}\r\n--line--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=line"}
    answer = api.call("POST", path, content=body.encode(), headers=headers)
    assert answer.status in {200, 202}, answer
    return ended(api, answer.json["async_action_id"])


def test_products_and_their_skus(api: Api) -> None:
    body = [{"source_id": f"p{number}", "price": 100 + number} for number in range(250)]
    body.append({"source_id": "wrong", "price": -1})
    answer = api.call("POST", "/v1/products/bulk/async", body, key="bulk-1")
    again = api.call("POST", "/v1/products/bulk/async", body, key="bulk-1")
    assert (answer.status, again.json) == (202, answer.json)
    action = ended(api, answer.json["async_action_id"])
    assert (action["type"], action["progress"]) == ("PRODUCTS.BULK_UPDATE", 100)
    assert action["request_id"] == answer.headers["x-request-id"]
    assert (action["result"]["done_count"], action["result"]["failed_count"]) == (250, 1)
    [error] = action["result"]["errors"]
    assert error["source_id"] == "wrong"
    assert error["details"].startswith("price: ")
    assert api.must("GET", "/v1/products")["total"] == 250
    assert api.must("GET", "/v1/products/p7")["price"] == 107
    body = {"source_ids": ["p7", "nobody"], "metadata": {"sale": True}}
    action = ended(api, api.must("POST", "/v1/products/metadata/async", body)["async_action_id"])
    assert [one["key"] for one in action["result"]["errors"]] == ["not_found"]
    assert api.must("GET", "/v1/products/p7")["metadata"] == {"sale": True}
    result = imported(api, "/v1/products/importCSV", "source_id,name,price\nmug,Mug,12\nbad,x,y")
    assert [one["row"] for one in result["result"]["failed"]] == [3]
    assert api.must("GET", "/v1/products/mug")["name"] == "Mug"
    result = imported(api, "/v1/skus/importCSV", "product_id,sku,source_id\nmug,XL,mug-xl\n")
    assert result["result"]["done_count"] == 1
    assert api.must("GET", "/v1/skus/mug-xl")["sku"] == "XL"


def test_customers_and_codes(api: Api) -> None:
    body = [{"source_id": "ann", "name": "Ann"}, {"source_id": "bo", "email": "none"}]
    action = ended(api, api.must("POST", "/v1/customers/bulk/async", body)["async_action_id"])
    assert [one["source_id"] for one in action["result"]["errors"]] == ["bo"]
    body = {"source_ids": ["ann"], "metadata": {"vip": True}}
    ended(api, api.must("POST", "/v1/customers/metadata/async", body)["async_action_id"])
    ann = api.must("GET", "/v1/customers/ann")
    assert (ann["name"], ann["metadata"]) == ("Ann", {"vip": True})
    imported(api, "/v1/customers/importCSV", "Source_id,Name,City\ncy,Cy,Bonn\n")
    assert api.must("GET", "/v1/customers/cy")["address"]["city"] == "Bonn"
    code, other = api.voucher(), api.voucher()
    body = [{"code": code, "metadata": {"a": 1}}, {"code": "NOBODY", "metadata": {}}]
    action = ended(api, api.must("POST", "/v1/vouchers/bulk/async", body)["async_action_id"])
    assert [one["code"] for one in action["result"]["errors"]] == ["NOBODY"]
    body = {"codes": [code, other], "metadata": {"b": 2}}
    ended(api, api.must("POST", "/v1/vouchers/metadata/async", body)["async_action_id"])
    assert api.must("GET", f"/v1/vouchers/{code}")["metadata"] == {"a": 1, "b": 2}
    assert api.must("GET", f"/v1/vouchers/{other}")["metadata"] == {"b": 2}


def test_the_official_client_imports_and_follows(system: System, api: Api) -> None:
    configuration = voucherify.Configuration(host=system.env["TESSERA_URL"])
    configuration.api_key["X-App-Id"] = api.headers["X-App-Id"]
    configuration.api_key["X-App-Token"] = api.headers["X-App-Token"]
    with voucherify.ApiClient(configuration) as client:
        products = voucherify.ProductsApi(client)
        file = b"source_id,name\ncup,Cup\n"
        started = products.import_products_using_csv(file=file)
        action = ended(api, started.async_action_id)
        assert action["result"]["done_count"] == 1
        asked = voucherify.ProductsUpdateInBulkRequestBody(source_id="cup", price=500)
        ended(api, products.update_products_in_bulk([asked]).async_action_id)
        assert products.get_product("cup").price == 500
