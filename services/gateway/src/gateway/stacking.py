"""Changes of a project's stacking rules, in the gateway's own log."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from contracts.errors import JsonObject, NotFound
from contracts.gateway import Project, ProjectUpdated
from contracts.messages import Position
from gateway.domain import stacking_rules as rules
from gateway.projects import PROJECT
from runtime.database import CONTENTION_ERRORS
from runtime.service import Service

Decide = Callable[[Project, datetime], Sequence[ProjectUpdated]]


class Changed(NamedTuple):
    """The project after a change, and where the change is in the log."""

    project: JsonObject
    positions: list[Position]


async def create(service: Service, project_id: str, rules_id: str, sent: JsonObject) -> Changed:
    """Give the project rules of its own; raises ``StackingRulesExist``."""
    return await _change(
        service, project_id, lambda state, now: [rules.decide_create(state, rules_id, sent, now)]
    )


async def update(service: Service, project_id: str, rules_id: str, body: JsonObject) -> Changed:
    """Change what was sent; raises ``NotFound`` when the project has no rules of this id."""

    def decide(state: Project, now: datetime) -> Sequence[ProjectUpdated]:
        rules.check_id(state, rules_id)
        return rules.decide_put(state, rules.read_rules(body, state.stacking_rules), now)

    return await _change(service, project_id, decide)


async def delete(service: Service, project_id: str, rules_id: str) -> Changed:
    """Take the project back to the defaults; raises ``NotFound``."""

    def decide(state: Project, now: datetime) -> Sequence[ProjectUpdated]:
        rules.check_id(state, rules_id)
        return [rules.decide_delete(state, now)]

    return await _change(service, project_id, decide)


async def forget_category(service: Service, project_id: str, category_id: str) -> Changed:
    """Take a category out of the rules."""

    def decide(state: Project, now: datetime) -> Sequence[ProjectUpdated]:
        left = rules.without_category(state.stacking_rules, category_id)
        return rules.decide_put(state, left, now)

    return await _change(service, project_id, decide)


async def _change(service: Service, project_id: str, decide: Decide) -> Changed:
    try:
        return await _changed(service, project_id, decide)
    except CONTENTION_ERRORS:
        return await _changed(service, project_id, decide)


async def _changed(service: Service, project_id: str, decide: Decide) -> Changed:
    async with service.unit(project_id) as unit:
        state = await unit.load(PROJECT, project_id)
        if state is None:
            raise NotFound.of("project", project_id)
        project = unit.append(PROJECT, project_id, *decide(state, unit.now))
    return Changed(project.model_dump(mode="json", exclude_none=True), unit.positions)
