"""A shop looks up what became of its webhooks, and has one sent again."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.system import Api, System, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


class Receiver:
    """A shop's server; refuses while ``is_down``."""

    def __init__(self) -> None:
        self.is_down = True
        self.ids: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                receiver.ids.append(self.headers["webhook-id"])
                self.send_response(500 if receiver.is_down else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.stop()


def test_a_delivery_is_listed_and_sent_again(system: System, api: Api, receiver: Receiver) -> None:
    hooks = f"/management/v1/projects/{api.project_id}/webhooks"
    body = {"target_url": receiver.url, "events": ["voucher.created"]}
    hook = system.management().must("POST", hooks, body)
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
