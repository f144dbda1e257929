"""The life of an endpoint, told as stories."""

from datetime import UTC, datetime
from typing import Any

from contracts.webhooks import (
    CreateEndpoint,
    DeleteEndpoint,
    Endpoint,
    EndpointCreated,
    EndpointDeleted,
    EndpointDisabled,
    EndpointUpdated,
    UpdateEndpoint,
)
from runtime.testing import given
from webhooks import limits
from webhooks.domain.address import read_target_url
from webhooks.domain.endpoint import (
    decide_create_endpoint,
    decide_delete_endpoint,
    decide_disable,
    decide_update_endpoint,
    evolve,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 3, 1, 13, tzinfo=UTC)
ENDPOINT = Endpoint(
    id="wh_1", target_url="https://shop.example/", events=["*"], secret="sealed", created_at=NOON
)
CREATED = EndpointCreated(endpoint=ENDPOINT)
OFF = ENDPOINT.model_copy(update={"active": False, "updated_at": LATER})
DELETED = EndpointDeleted(endpoint_id="wh_1", deleted_at=LATER)


def read_url(path: str, value: Any) -> str:
    return read_target_url(path, value, is_private_allowed=False, ports=frozenset({443}))


def create(count: int = 0) -> Any:
    command = CreateEndpoint(
        endpoint_id="wh_1", target_url="https://shop.example/", events=["*"], secret="sealed"
    )
    return lambda state: decide_create_endpoint(state, command, NOON, read_url, count)


def update(**changes: Any) -> Any:
    command = UpdateEndpoint(endpoint_id="wh_1", changes=changes)
    return lambda state: decide_update_endpoint(state, command, LATER, read_url)


def disable(state: Any) -> Any:
    return decide_disable(state, "five days of failures", LATER)


def delete(state: Any) -> Any:
    return decide_delete_endpoint(state, DeleteEndpoint(endpoint_id="wh_1"), LATER)


def test_an_endpoint_is_made_once() -> None:
    given(evolve).when(create()).then(CREATED)
    given(evolve, CREATED).when(create()).then_refused("duplicate_found")
    given(evolve).when(create(limits.ENDPOINTS_PER_PROJECT_MAX)).then_refused("invalid_payload")


def test_only_changes_are_recorded() -> None:
    story = given(evolve, CREATED).when(update(active=False, events=["*"]))
    story.then(EndpointUpdated(endpoint=OFF))
    story.when(update(active=False)).then()
    given(evolve, CREATED).when(update(active=True)).then()


def test_a_wrong_change_is_refused_by_name() -> None:
    given(evolve, CREATED).when(update(events=["nonsense"])).then_refused(
        "invalid_payload", "events[0]"
    )
    given(evolve, CREATED).when(update(target_url="https://10.0.0.1/")).then_refused(
        "endpoint_address_forbidden", "target_url"
    )


def test_one_that_fails_for_days_is_switched_off_once() -> None:
    off = EndpointDisabled(endpoint=OFF, reason="five days of failures")
    given(evolve, CREATED).when(disable).then(off).when(disable).then()


def test_what_is_deleted_stays_so() -> None:
    story = given(evolve, CREATED).when(delete).then(DELETED)
    story.when(update(active=False)).then_refused("not_found")
    given(evolve, CREATED, DELETED).when(create()).then_refused("duplicate_found")
