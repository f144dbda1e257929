"""Distributions and messages, told as stories."""

from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.distribution import (
    CreateDistribution,
    Distribution,
    DistributionCreated,
    DistributionUpdated,
    MessageFailed,
    MessageQueued,
    MessageSent,
    UpdateDistribution,
)
from contracts.samples import sample
from distribution import templates
from distribution.domain import message as messages
from distribution.domain.distribution import (
    decide_create_distribution,
    decide_update_distribution,
    evolve,
)
from runtime.testing import given

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 3, 1, 13, tzinfo=UTC)
DEFINITION: dict[str, Any] = {
    "name": "Abandoned carts",
    "trigger": {"type": "customer.custom_event", "custom_event": {"name": "cart.abandoned"}},
    "campaign_id": "camp_1",
    "join_once": True,
    "message": {"channel": "email", "subject": "Hello", "text": "Your code: {{ voucher.code }}"},
}
CREATED = DistributionCreated(
    distribution=Distribution(id="dist_1", active=True, created_at=NOON, **DEFINITION)
)


def create(**changes: Any) -> Any:
    command = CreateDistribution(distribution_id="dist_1", definition={**DEFINITION, **changes})
    return lambda state: decide_create_distribution(state, command, NOON, templates.check)


def update(**changes: Any) -> Any:
    command = UpdateDistribution(distribution_id="dist_1", changes=changes)
    return lambda state: decide_update_distribution(state, command, LATER, templates.check)


def updated(**changes: Any) -> DistributionUpdated:
    changed = CREATED.distribution.model_copy(update={**changes, "updated_at": LATER})
    return DistributionUpdated(distribution=changed)


def test_a_distribution_is_live_at_once_and_made_once() -> None:
    story = given(evolve).when(create()).then(CREATED)
    story.when(create()).then_refused("duplicate_found")


def test_it_is_switched_off_and_on_and_only_changes_are_recorded() -> None:
    story = given(evolve, CREATED).when(update(active=False, name="Abandoned carts"))
    story.then(updated(active=False)).when(update(active=False)).then()
    story.when(update(active=True)).then(updated(active=True))


def test_a_template_that_cannot_be_filled_in_is_refused_and_the_old_one_stays() -> None:
    broken = {**DEFINITION["message"], "text": "{{"}
    given(evolve, CREATED).when(update(message=broken)).then_refused(
        "invalid_payload", "message.text"
    )


def test_what_was_never_made_is_not_found() -> None:
    given(evolve).when(update(active=False)).then_refused("not_found")


QUEUED = sample(MessageQueued)


def test_a_message_ends_once() -> None:
    def sent(state: Any) -> Any:
        return messages.decide_sent(state, 2, LATER)

    def failed(state: Any) -> Any:
        return messages.decide_failed(state, 3, "mailbox unknown", LATER)

    story = given(messages.evolve, QUEUED).when(sent)
    assert story.events is not None and isinstance(story.events[0], MessageSent)
    story.then(*story.events)
    with pytest.raises(AssertionError, match="was sent before"):
        story.when(failed)
    other = given(messages.evolve, QUEUED).when(failed)
    assert other.events is not None and isinstance(other.events[0], MessageFailed)
    assert other.events[0].reason == "mailbox unknown"
