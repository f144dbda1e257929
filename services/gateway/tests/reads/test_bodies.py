"""Events in, bodies out: every GET of the API on a filled read model, checked in shape and content."""

import pytest

from services.gateway.tests.reads.conftest import Project, Site

pytestmark = pytest.mark.integration


def paths(project: Project) -> list[str]:
    world = project.world
    return [
        "/v1/campaigns",
        "/v1/campaigns/camp_1",
        "/v1/campaigns/Autumn",
        "/v1/campaigns/camp_2",
        "/v1/campaigns/camp_3",
        "/v1/campaigns/camp_1/summary",
        "/v1/campaigns/camp_2/summary",
        "/v1/vouchers",
        "/v1/vouchers/GEN-1",
        "/v1/vouchers/GEN-2",
        "/v1/vouchers/SOLO",
        "/v1/vouchers/GIFT",
        f"/v1/vouchers/{world.gift_id}",
        "/v1/vouchers/GIFT/transactions",
        "/v1/vouchers/SOLO/transactions",
        "/v1/vouchers/GEN-1/redemption",
        "/v1/vouchers/GIFT/redemption",
        "/v1/redemptions",
        *[f"/v1/redemptions/{name}" for name in REDEMPTIONS],
        "/v1/customers",
        "/v1/customers/ada",
        "/v1/customers/bob",
        f"/v1/customers/{world.customer_id}",
        "/v1/segments",
        "/v1/segments/seg_1",
        "/v1/segments/seg_2",
        "/v1/products",
        "/v1/products/shoe",
        f"/v1/products/{world.product_id}",
        "/v1/products/prod_2",
        "/v1/products/shoe/skus",
        "/v1/products/shoe/skus/shoe-42",
        "/v1/skus/shoe-42",
        f"/v1/skus/{world.sku_id}",
        "/v1/orders",
        "/v1/orders/o-1",
        "/v1/orders/o-2",
        f"/v1/orders/{world.order_id}",
        "/v1/orders/ord_alone",
        "/v1/publications",
        "/v1/validation-rules",
        "/v1/validation-rules/val_1",
        "/v1/validation-rules/val_1/assignments",
        "/v1/validation-rules-assignments",
        "/v1/async-actions",
        "/v1/async-actions/aa_1",
        "/v1/async-actions/aa_2",
        "/v1/async-actions/aa_3",
        "/v1/async-actions/aa_4",
        "/v1/async-actions/aa_5",
        "/v1/distributions",
        "/v1/distributions/distr_1",
        "/v1/webhook-deliveries",
        "/v1/promotions/tiers",
        "/v1/promotions/tiers/promo_1",
        "/v1/promotions/tiers/promo_2",
        "/v1/promotions/camp_3/tiers",
        "/v1/promotions/stacks",
        "/v1/promotions/camp_3/stacks",
        "/v1/promotions/camp_3/stacks/stack_1",
        "/v1/categories",
        "/v1/categories/cat_1",
    ]


REDEMPTIONS = ["r_p", "r_1", "r_2", "r_3", "r_4", "r_6", "rf_1", "rf_2", "rr_1", "rrf_1"]


async def test_every_get_has_the_shape_of_the_api(site: Site) -> None:
    failed = []
    for path in paths(site.first):
        try:
            answer = await site.first.get(path)
            if answer.status != 200:
                failed.append(f"{path}: {answer}")
        except AssertionError as error:
            failed.append(f"{path}: {error}")
    assert not failed, "\n".join(failed)


async def test_tiers_show_what_they_came_to_and_where_they_stand(site: Site) -> None:
    tier = await site.first.must("/v1/promotions/tiers/promo_1")
    assert tier["summary"]["redemptions"] == {"total_redeemed": 1}
    assert tier["summary"]["orders"] == {"total_amount": 1000, "total_discount_amount": 100}
    assert (tier["category_id"], tier["categories"][0]["name"]) == ("cat_1", "Books")
    listed = await site.first.must("/v1/promotions/camp_3/tiers")
    assert [one["id"] for one in listed["tiers"]] == ["promo_2", "promo_1"]
    # Its campaign is switched off.
    available = await site.first.must("/v1/promotions/tiers", is_available="true")
    assert available["total"] == 0
    campaign = await site.first.must("/v1/campaigns/camp_3")
    assert [one["id"] for one in campaign["promotion"]["tiers"]] == ["promo_2", "promo_1"]
    category = await site.first.must("/v1/categories/cat_1")
    assert (category["name"], category["hierarchy"]) == ("Books", 0)
    assert (await site.first.get("/v1/promotions/camp_1/stacks/stack_1")).status == 404


async def test_nothing_of_one_project_is_seen_in_another(site: Site) -> None:
    for path in paths(site.first):
        answer = await site.second.get(path)
        if answer.status == 200:
            assert answer.json.get("total", len(answer.json.get("async_actions", []))) == 0, path
        else:
            named = path.removesuffix("/summary").removesuffix("/transactions")
            assert (answer.status, answer.json["key"]) == (404, "not_found"), (named, answer)
            assert answer.json["message"] == "Resource not found"
            assert answer.json["resource_id"] in path
            assert answer.json["details"].startswith("Cannot find ")


async def test_an_action_shows_what_was_refused_in_the_words_of_its_kind(site: Site) -> None:
    updated = await site.first.must("/v1/async-actions/aa_4")
    assert (updated["type"], updated["status"]) == ("PRODUCTS.BULK_UPDATE", "DONE")
    assert (updated["progress"], updated["operation_status"]) == (100, "SUCCESS")
    assert (updated["result"]["done_count"], updated["result"]["failed_count"]) == (2, 1)
    [error] = updated["result"]["errors"]
    assert (error["source_id"], error["details"]) == ("mug", "price: must be an integer")
    imported = (await site.first.must("/v1/async-actions/aa_5"))["result"]
    assert imported["message"] == "2 customer(s) imported successfully, 1 failed."
    [failed] = imported["failed"]
    assert (failed["row"], failed["reason"]) == (4, "invalid_payload: price: must be an integer")
    listed = await site.first.must("/v1/async-actions")
    assert {"result"} & {name for one in listed["async_actions"] for name in one} == set()
