"""A gateway on a real Postgres with the history of two projects, asked through its ASGI application."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from gateway import projects
from gateway.app import build
from gateway.settings import Settings as GatewaySettings
from runtime.testing import Harness
from services.gateway.tests.reads.world import Happened, World
from tests.support.openapi import assert_valid


class Answer(NamedTuple):
    """One HTTP answer."""

    status: int
    json: Any


class Project:
    """A project with its history and its server key."""

    def __init__(self, client: httpx.AsyncClient, made: projects.Made) -> None:
        self.id = made.project["id"]
        self.world = World(self.id)
        self._client = client
        self.headers = {"X-App-Id": made.server.app_id, "X-App-Token": made.server.token}
        self.client_headers = {
            "X-Client-Application-Id": made.client.app_id,
            "X-Client-Token": made.client.token,
            "Origin": "https://shop.example",
        }

    async def get(self, path: str, **query: Any) -> Answer:
        """Ask; any 2xx body is checked against ``openapi.json`` and by the official client."""
        return await self.ask(path, list(query.items()))

    async def ask(self, path: str, query: Sequence[tuple[str, Any]] = ()) -> Answer:
        params = [(name, str(value)) for name, value in query]
        return await _get(self._client, quote(path), params, self.headers)

    async def ask_client_side(self, path: str, query: Sequence[tuple[str, Any]]) -> Answer:
        params = [(name, str(value)) for name, value in query]
        return await _get(self._client, path, params, self.client_headers)

    async def must(self, path: str, **query: Any) -> Any:
        answer = await self.get(path, **query)
        assert answer.status == 200, (path, query, answer)
        return answer.json


class Site:
    """The gateway with two projects of the same names."""

    def __init__(self, harness: Harness, client: httpx.AsyncClient) -> None:
        self.harness = harness
        self.client = client
        self.management: dict[str, str] = {}
        self.first: Project
        self.second: Project

    async def fill(self) -> None:
        service = self.harness.service
        made = [await projects.create(service, PROJECT), await projects.create(service, PROJECT)]
        key = await projects.create_management_key(service)
        self.management = {"X-Management-Id": key.app_id, "X-Management-Token": key.token}
        self.first, self.second = (Project(self.client, one) for one in made)
        await self.harness.deliver_own()
        await self.deliver(self.first.id, self.first.world.happened)

    async def deliver(self, project_id: str, happened: Sequence[Happened]) -> None:
        for source, stream, event in happened:
            await self.harness.event(project_id, event, source=source, stream=stream)

    async def manage(self, path: str, **query: Any) -> Answer:
        params = [(name, str(value)) for name, value in query.items()]
        return await _get(self.client, path, params, self.management)


PROJECT = {"name": "Shop", "timezone": "Europe/Berlin", "currency": "EUR"}


async def _get(
    client: httpx.AsyncClient, path: str, params: list[tuple[str, str]], headers: dict[str, str]
) -> Answer:
    response = await client.get(path, params=params, headers=headers)
    answer = Answer(response.status_code, response.json())
    if response.is_success:
        assert_valid("GET", path, answer.status, answer.json)
    else:
        assert answer.json["code"] == answer.status
        assert answer.json["request_id"].startswith("v-")
    return answer


@pytest_asyncio.fixture
async def empty_site(leased_database: str) -> AsyncIterator[Site]:
    settings = GatewaySettings(database_url=leased_database, pool_size_max=4)
    async with Harness(build(settings)) as harness:
        application = harness.service.http(harness.service)
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            yield Site(harness, client)


@pytest_asyncio.fixture
async def site(empty_site: Site) -> Site:
    await empty_site.fill()
    return empty_site


@pytest.fixture
def project(site: Site) -> Project:
    return site.first
