"""Projects: what they must have, and what is kept of them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.gateway import Project, ProjectCreated
from gateway import bootstrap
from gateway.domain.project import decide_create_project, evolve
from runtime.testing import given
from services.gateway.tests.edge.front import Front

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
GOOD: dict[str, Any] = {"name": "Shop", "timezone": "Europe/Berlin", "currency": "EUR"}


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
    ],
)
def test_what_is_wrong_is_named(name: str, value: Any) -> None:
    given(evolve).when(decide(**{name: value})).then_refused("invalid_payload", f"{name}")


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
