"""The gateway's real ASGI application on a real Postgres; only what lies behind Kafka is played."""

from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import orjson

from contracts.errors import ErrorBody, Unavailable
from contracts.messages import Message, Position, Reply
from gateway import projects
from runtime.testing import Harness

Play = Callable[[Message], Reply]


class Asked(NamedTuple):
    """What was sent to a service."""

    topic: str
    key: str
    message: Message
    project_id: str
    idempotency_key: str
    fingerprint: str
    after: tuple[Position, ...]


class PlayedServices:
    """Answers commands and requests as services do: a known key gets its stored reply.

    ``play[type]`` makes the reply of a new one; without it nobody answers.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.play: dict[str, Play] = {}
        self._stored: dict[tuple[str, str, str], tuple[str, Reply]] = {}

    async def call(
        self,
        topic: str,
        key: str,
        message: Message,
        *,
        project_id: str,
        idempotency_key: str,
        fingerprint: str,
        correlation_id: str,
        after: tuple[Position, ...] = (),
    ) -> Reply:
        assert correlation_id.startswith("v-")
        self.asked.append(
            Asked(topic, key, message, project_id, idempotency_key, fingerprint, after)
        )
        service = topic.partition(".")[0]
        place = (service, project_id, idempotency_key)
        if place in self._stored:
            stored_fingerprint, reply = self._stored[place]
            assert stored_fingerprint == fingerprint, "the gateway catches this first"
            return reply.model_copy(update={"replayed": True})
        if message.TYPE not in self.play:
            raise Unavailable("nobody answers")
        type(message).from_json(message.to_json())
        reply = self.play[message.TYPE](message)
        self._stored[place] = (fingerprint, reply)
        return reply


def refused(code: int, key: str, **more: Any) -> Reply:
    """Return the reply of a service that refuses."""
    return Reply(status=code, error=ErrorBody(code=code, key=key, message=key, **more))


class Answer(NamedTuple):
    """One HTTP answer."""

    status: int
    json: Any
    content: bytes
    headers: httpx.Headers


class Keys:
    """A project's keys, as its owner holds them."""

    def __init__(self, made: projects.Made) -> None:
        self.project_id: str = made.project["id"]
        self.server = {"X-App-Id": made.server.app_id, "X-App-Token": made.server.token}
        self.client = {
            "X-Client-Application-Id": made.client.app_id,
            "X-Client-Token": made.client.token,
        }


class Front:
    """One gateway."""

    def __init__(self, harness: Harness, services: PlayedServices) -> None:
        self.harness = harness
        self.services = services
        self.service = harness.service
        self.service.rpc = services  # type: ignore[assignment]
        self.api = self.service.http(self.service)
        transport = httpx.ASGITransport(app=self.api)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://gateway")

    async def project(self, **more: Any) -> Keys:
        body = {"name": "Shop", "timezone": "Europe/Berlin", "currency": "EUR", **more}
        made = await projects.create(self.service, body)
        await self.harness.deliver_own()
        return Keys(made)

    async def management(self) -> dict[str, str]:
        issued = await projects.create_management_key(self.service)
        return {"X-Management-Id": issued.app_id, "X-Management-Token": issued.token}

    async def send(
        self,
        method: str,
        path: str,
        keys: dict[str, str] | None = None,
        body: Any = None,
        *,
        raw: bytes | None = None,
        key: str = "",
        **headers: str,
    ) -> Answer:
        content = raw if raw is not None else (b"" if body is None else orjson.dumps(body))
        sent = {"Content-Type": "application/json", **(keys or {})}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        if key:
            sent["Idempotency-Key"] = key
        response = await self._client.request(method, path, content=content, headers=sent)
        is_json = response.headers.get("content-type", "").startswith("application/json")
        shown = orjson.loads(response.content) if is_json and response.content else None
        return Answer(response.status_code, shown, response.content, response.headers)


def assert_refused(answer: Answer, status: int, key: str, mentions: str = "") -> None:
    """The answer is an error in the API's shape, and names what is wrong."""
    assert answer.status == status, (answer.status, answer.json)
    body = answer.json
    assert body["code"] == status
    assert body["key"] == key
    assert isinstance(body["message"], str)
    assert body["message"]
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["request_id"].startswith("v-")
    assert mentions in body.get("details", ""), body
