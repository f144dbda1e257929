"""Projects: what they must have, and what is kept of them."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.gateway import Project, ProjectCreated, ProjectDeleted, ProjectUpdated
from contracts.messages import Message, Reply
from gateway import bootstrap
from gateway.audit import audit
from gateway.domain.project import (
    decide_create_project,
    decide_delete_project,
    decide_update_project,
    evolve,
)
from gateway.settings import Settings
from runtime.testing import given
from services.gateway.tests.edge.front import Front, assert_refused
from services.gateway.tests.edge.front import refused as refused_by
from services.gateway.tests.edge.test_auth import SEEN

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LATER = datetime(2026, 2, 1, 12, tzinfo=UTC)
GOOD: dict[str, Any] = {"name": "Shop", "timezone": "Europe/Berlin", "currency": "EUR"}


SILENT: dict[str, Any] = {
    "webhooks_callout_notifications": {
        name: {"email": False, "in_app": False, "emails": []}
        for name in ("webhooks", "distributions")
    }
}
WRONG_EVER: list[tuple[str, Any]] = [
    ("client_publish_enabled", "yes"),
    ("api_version", "v2"),
    ("webhook_version", "v1"),
    ("cluster_id", "eu1"),
    ("users", [{"id": "user_1", "role": "ADMIN"}]),
    ("webhooks_callout_notifications", {"webhooks": {"email": True}}),
    ("api_usage_notifications", {"messages": {"value": 101}}),
]


def decide(**more: Any) -> Any:
    body = {**GOOD, **more}
    return lambda state: decide_create_project(state, "proj_1", body, "cipher", NOW)


def test_a_project_is_created_with_its_settings() -> None:
    settings = {
        "client_trusted_domains": ["https://a.example"],
        "first_day_of_week": "SUNDAY",
        "rate_per_minute": 60,
    }
    project = Project(
        id="proj_1",
        name="Shop",
        timezone="Europe/Berlin",
        currency="EUR",
        case_sensitive_codes=False,
        created_at=NOW,
        webhook_secret="cipher",
        settings=settings,
    )
    more = {"case_sensitive_codes": False, "unknown": 1, **settings}
    given(evolve).when(decide(**more)).then(ProjectCreated(project=project))


def test_a_project_that_exists_stays_as_it_is() -> None:
    created = decide()(None)
    given(evolve, *created).when(decide(name="Other")).then()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", None),
        ("name", "  "),
        ("name", "x" * 256),
        ("timezone", None),
        ("timezone", "Mars/Olympus"),
        ("timezone", ["Europe/Berlin"]),
        ("currency", None),
        ("currency", "euro"),
        ("currency", "EU"),
        ("case_sensitive_codes", "yes"),
        ("first_day_of_week", "FRIDAY"),
        ("first_day_of_week", 0),
        ("rate_per_minute", 0),
        ("rate_per_minute", "60"),
        ("client_trusted_domains", "https://a.example"),
        ("client_trusted_domains", [1]),
        ("client_trusted_domains", ["a"] * 101),
        ("client_redeem_enabled", 1),
        ("description", 5),
        *WRONG_EVER,
    ],
)
def test_what_is_wrong_is_named(name: str, value: Any) -> None:
    given(evolve).when(decide(**{name: value})).then_refused("invalid_payload", f"{name}")


def update(**body: Any) -> Any:
    return lambda state: decide_update_project(state, body, LATER)


@pytest.mark.parametrize(
    ("name", "value"),
    [("name", None), ("timezone", None), ("currency", "euro"), ("rate_per_minute", 0)]
    + [("case_sensitive_codes", False), ("default_code_config", {"charset": "01"})]
    + WRONG_EVER,
)
def test_what_is_wrong_in_an_update_is_named(name: str, value: Any) -> None:
    created = decide()(None)
    given(evolve, *created).when(update(**{name: value})).then_refused("invalid_payload", name)


def test_an_update_changes_what_is_sent_and_a_null_takes_it_back() -> None:
    created = decide(description="Shoes", rate_per_minute=60)(None)
    before = created[0].project
    changes = {
        "name": "Shop 2",
        "currency": "PLN",
        "description": None,
        "client_redeem_enabled": False,
    }
    after = before.model_copy(
        update={
            "name": "Shop 2",
            "currency": "PLN",
            "settings": {"rate_per_minute": 60, "client_redeem_enabled": False},
            "updated_at": LATER,
        }
    )
    given(evolve, *created).when(update(**changes)).then(ProjectUpdated(project=after))


def test_an_update_of_what_a_project_shows_changes_nothing() -> None:
    created = decide(**SILENT)(None)
    same = {**GOOD, "case_sensitive_codes": True, "api_version": "v2018-08-01", **SILENT}
    given(evolve, *created).when(update(**same)).then()


def test_a_project_is_deleted_once() -> None:
    deleted = ProjectDeleted(project_id="proj_1", deleted_at=LATER)
    created = decide()(None)
    given(evolve, *created).when(lambda state: decide_delete_project(state, LATER)).then(deleted)
    given(evolve, *created, deleted).when(lambda state: decide_delete_project(state, LATER)).then()
    assert evolve(created[0].project, deleted).deleted_at == LATER


@pytest.mark.integration
async def test_settings_hold_at_once_here_and_within_a_second_in_other_gateways(
    front: Front, other: Front
) -> None:
    keys, management = await front.project(), await front.management()
    path = f"/management/v1/projects/{keys.project_id}"
    client = {**keys.client, "Origin": "https://shop.example"}
    front.services.play["engine.plan-redemption.v1"] = refuse_all
    other.services.play["engine.plan-redemption.v1"] = refuse_all
    for one in (front, other):
        assert (await one.send("POST", "/client/v1/redemptions", client, SEEN)).status == 404
    body = {"client_redeem_enabled": False, "rate_per_minute": 77}
    changed = await front.send("PUT", path, management, body)
    assert (changed.status, changed.json["client_redeem_enabled"]) == (200, False)
    await front.harness.deliver_own()
    shown = await front.send("GET", path, management)
    assert (shown.json["rate_per_minute"], shown.json["client_redeem_enabled"]) == (77, False)
    refused = await front.send("POST", "/client/v1/redemptions", client, SEEN)
    assert_refused(refused, 403, "forbidden", "client_redeem_enabled")
    deadline = time.monotonic() + 10
    while True:
        refused = await other.send("POST", "/client/v1/redemptions", client, SEEN)
        if refused.status == 403 or time.monotonic() > deadline:
            break
    assert_refused(refused, 403, "forbidden", "client_redeem_enabled")
    assert refused.headers["access-control-allow-origin"] == "https://shop.example"
    answer = await other.send("GET", "/v1/customers", keys.server)
    assert answer.headers["x-rate-limit-limit"] == "77"
    assert Settings(database_url="").key_cache_s < 1


@pytest.mark.integration
async def test_trusted_domains_can_be_changed(front: Front) -> None:
    keys, management = await front.project(), await front.management()
    front.services.play["engine.validate-stack.v1"] = lambda _: Reply(body={"valid": True})
    client = {**keys.client, "Origin": "https://shop.example"}
    assert (await front.send("POST", "/client/v1/validations", client, SEEN)).status == 200
    path = f"/management/v1/projects/{keys.project_id}"
    body = {"client_trusted_domains": ["https://other.example"]}
    assert (await front.send("PUT", path, management, body)).status == 200
    answer = await front.send("POST", "/client/v1/validations", client, SEEN)
    assert_refused(answer, 401, "unauthorized", "origin")
    client["Origin"] = "https://other.example"
    assert (await front.send("POST", "/client/v1/validations", client, SEEN)).status == 200


@pytest.mark.integration
async def test_a_deleted_project_is_gone_and_its_keys_are_refused(front: Front) -> None:
    keys, kept, management = await front.project(), await front.project(), await front.management()
    path = f"/management/v1/projects/{keys.project_id}"
    assert (await front.send("GET", "/v1/customers", keys.server)).status == 200
    deleted = await front.send("DELETE", path, management)
    assert (deleted.status, deleted.content) == (204, b"")
    for headers in (keys.server, {**keys.client, "Origin": "https://a.example"}):
        asks = "/client/v1/validations" if "Origin" in headers else "/v1/customers"
        method = "POST" if "Origin" in headers else "GET"
        assert_refused(await front.send(method, asks, headers, {}), 401, "unauthorized")
    await front.harness.deliver_own()
    for method in ("GET", "PUT", "DELETE"):
        assert_refused(await front.send(method, path, management, {}), 404, "not_found")
    assert_refused(await front.send("GET", f"{path}/webhooks", management), 404, "not_found")
    listed = await front.send("GET", "/management/v1/projects", management)
    assert [one["id"] for one in listed.json["data"]] == [kept.project_id]
    assert (await front.send("GET", "/v1/customers", kept.server)).status == 200
    async with front.service.pool.acquire() as connection:
        assert await audit(connection) == []
        await connection.execute("UPDATE api_keys SET is_revoked = NOT is_revoked")
        assert len(await audit(connection)) == 5


def refuse_all(_: Message) -> Reply:
    return refused_by(404, "not_found")


@pytest.mark.integration
async def test_the_demo_project_is_made_once(
    front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "env"
    path.write_text("OTHER='stays as it is'\nTESSERA_APP_ID=stale\n")
    monkeypatch.setenv("TESSERA_ENV_FILE", str(path))
    monkeypatch.setenv("TESSERA_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("DATABASE_URL", front.service.settings.database_url)
    await bootstrap.main()
    written = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert written.startswith("OTHER='stays as it is'\n")
    values = bootstrap.read(path)
    assert set(values) == {
        "OTHER",
        "TESSERA_URL",
        "TESSERA_PROJECT_ID",
        "TESSERA_APP_ID",
        "TESSERA_APP_TOKEN",
        "TESSERA_CLIENT_APP_ID",
        "TESSERA_CLIENT_TOKEN",
        "TESSERA_MANAGEMENT_ID",
        "TESSERA_MANAGEMENT_TOKEN",
    }
    headers = {"X-App-Id": values["TESSERA_APP_ID"], "X-App-Token": values["TESSERA_APP_TOKEN"]}
    answer = await front.send("GET", "/v1/customers", headers)
    assert answer.status == 200
    assert int(answer.headers["x-rate-limit-limit"]) >= 1_000_000
    await bootstrap.main()
    assert path.read_text() == written
    bootstrap.write(path, {"TESSERA_MANAGEMENT_TOKEN": "lost"})
    await bootstrap.main()
    assert bootstrap.read(path)["TESSERA_PROJECT_ID"] != values["TESSERA_PROJECT_ID"]
