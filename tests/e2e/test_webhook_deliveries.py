"""A shop looks up what became of its webhooks, and has one sent again."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.receiver import Receiver
from tests.system import Api, System, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver(is_down=True)
    yield running
    running.stop()


def test_a_delivery_is_listed_and_sent_again(system: System, api: Api, receiver: Receiver) -> None:
    hooks = f"/management/v1/projects/{api.project_id}/webhooks"
    body = {"target_url": receiver.url, "events": ["voucher.created"]}
    hook = system.management().must("POST", hooks, body)
    before = hook.pop("secret")
    rotated = system.management().must("POST", f"{hooks}/{hook['id']}/rotate-secret", {})
    assert rotated["secret"] != before
    assert system.management().must("GET", f"{hooks}/{hook['id']}")["id"] == hook["id"]
    api.voucher()

    def newest() -> Any:
        return (api.must("GET", "/v1/webhook-deliveries")["data"] or [None])[0]

    failed = wait_until(lambda: (now := newest()) and now["attempts"] and now, "a first attempt")
    assert (failed["webhook_id"], failed["event"]) == (hook["id"], "voucher.created")
    assert failed["attempts"][0]["response_status"] == 500
    count = len(receiver.ids)
    receiver.is_down = False
    assert api.call("POST", f"/v1/webhook-deliveries/{failed['id']}/resend", {}).status == 202
    wait_until(lambda: len(receiver.ids) > count, "the delivery again")
    sent = wait_until(
        lambda: (now := newest())["status"] == "delivered" and now, "the delivery to be noted"
    )
    assert sent["id"] == failed["id"]
    assert len(sent["attempts"]) > len(failed["attempts"])
    assert len(set(receiver.ids)) == 1
    delivered = api.must("GET", "/v1/webhook-deliveries?status=delivered")
    assert [one["id"] for one in delivered["data"]] == [failed["id"]]
    nobody = api.call("POST", "/v1/webhook-deliveries/whs_nobody/resend", {})
    assert (nobody.status, nobody.key) == (404, "not_found")
