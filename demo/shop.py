"""The shop's side: the official Python SDK, the environment's keys, and a plain Kafka producer."""

import asyncio
import json
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import voucherify
from aiokafka import AIOKafkaProducer
from voucherify import models

ROOT = Path(__file__).parent.parent
ENV_FILE = Path(os.environ.get("TESSERA_ENV_FILE", ROOT / ".local" / "env"))
Json = dict[str, Any]


def read_env() -> dict[str, str]:
    """Return the running system's addresses and keys; the environment wins over the file."""
    values = {}
    if ENV_FILE.exists():
        for line in ENV_FILE.read_text().splitlines():
            name, separator, value = line.partition("=")
            if separator and not line.startswith("#"):
                values[name.strip().removeprefix("export ")] = value.strip().strip("'\"")
    return {**values, **{name: os.environ[name] for name in values if name in os.environ}}


class Answer(NamedTuple):
    """The end of one redemption."""

    status: int
    body: Json

    @property
    def key(self) -> str:
        """The error's key, or empty."""
        return str(self.body.get("key", ""))


class Shop:
    """One project, as a shop's back end sees it."""

    def __init__(self, url: str, project_id: str, app_id: str, app_token: str) -> None:
        self.url = url
        self.project_id = project_id
        self._keys = {"X-App-Id": app_id, "X-App-Token": app_token}
        configuration = voucherify.Configuration(host=url, api_key=dict(self._keys))
        configuration.connection_pool_maxsize = 256
        self.client = voucherify.ApiClient(configuration)
        self.campaigns = voucherify.CampaignsApi(self.client)
        self.vouchers = voucherify.VouchersApi(self.client)
        self.rules = voucherify.ValidationRulesApi(self.client)
        self.redemptions = voucherify.RedemptionsApi(self.client)
        self.validations = voucherify.ValidationsApi(self.client)
        self.orders = voucherify.OrdersApi(self.client)
        self.customers = voucherify.CustomersApi(self.client)
        self.products = voucherify.ProductsApi(self.client)
        self.async_actions = voucherify.AsyncActionsApi(self.client)

    def call(self, method: str, path: str, body: Json | None = None) -> Json:
        """Call what is Tessera's own and therefore not in the SDK."""
        return call(self.url, method, path, self._keys, body)

    def validate(self, body: Json) -> Json:
        """Validate a stack."""
        request = models.ValidationsValidateRequestBody.from_dict(body)
        answer = self.validations.validate_stacked_discounts(
            validations_validate_request_body=request
        )
        found: Json = answer.to_dict()
        return found

    def redeem(self, body: Json, key: str | None = None) -> Answer:
        """Redeem a stack; with the same key again as often as the answer is not definite."""
        request = models.RedemptionsRedeemRequestBody.from_dict(body)
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        for _ in range(60):
            try:
                answer = self.redemptions.redeem_stacked_discounts(
                    redemptions_redeem_request_body=request, _headers=headers
                )
                return Answer(200, answer.to_dict())
            except voucherify.ApiException as error:
                if error.status not in {429, 503}:
                    return Answer(error.status, json.loads(error.body or "{}"))
                time.sleep(0.5)
        message = "no definite answer after 60 tries"
        raise AssertionError(message)


def call(
    url: str, method: str, path: str, headers: dict[str, str], body: Json | None = None
) -> Json:
    """Send one plain HTTP request; raises ``HTTPError``."""
    data = json.dumps(body).encode() if body is not None else None
    request = Request(  # noqa: S310 - the running system's own address
        url + path,
        data=data,
        method=method,
        headers={**headers, "Content-Type": "application/json"},
    )
    with urlopen(request, timeout=30) as response:  # noqa: S310
        parsed: Json = json.loads(response.read() or b"{}")
        return parsed


def publish(bootstrap: str, topic: str, project_id: str, elements: Sequence[Any]) -> None:
    """Publish as an upstream system does: JSON, and the project in a header."""

    async def send() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
        await producer.start()
        for element in elements:
            value = json.dumps(element).encode()
            key = (element.get("source_id") if isinstance(element, dict) else None) or topic
            await producer.send(
                topic, value, key=key.encode(), headers=[("ce_project", project_id.encode())]
            )
        await producer.stop()

    asyncio.run(send())
