"""Changes of a project's stacking rules, in the gateway's own log."""

from collections.abc import Sequence
from datetime import datetime

from contracts.errors import JsonObject
from contracts.gateway import Project, ProjectUpdated
from gateway.domain import stacking_rules as rules
from gateway.projects import Changed, change
from runtime.service import Service


async def create(service: Service, project_id: str, rules_id: str, sent: JsonObject) -> Changed:
    """Give the project rules of its own; raises ``StackingRulesExist``."""
    return await change(
        service, project_id, lambda state, now: [rules.decide_create(state, rules_id, sent, now)]
    )


async def update(service: Service, project_id: str, rules_id: str, body: JsonObject) -> Changed:
    """Change what was sent; raises ``NotFound`` when the project has no rules of this id."""

    def decide(state: Project, now: datetime) -> Sequence[ProjectUpdated]:
        rules.check_id(state, rules_id)
        return rules.decide_put(state, rules.read_rules(body, state.stacking_rules), now)

    return await change(service, project_id, decide)


async def delete(service: Service, project_id: str, rules_id: str) -> Changed:
    """Take the project back to the defaults; raises ``NotFound``."""

    def decide(state: Project, now: datetime) -> Sequence[ProjectUpdated]:
        rules.check_id(state, rules_id)
        return [rules.decide_delete(state, now)]

    return await change(service, project_id, decide)


async def forget_category(service: Service, project_id: str, category_id: str) -> Changed:
    """Take a category out of the rules."""

    def decide(state: Project, now: datetime) -> Sequence[ProjectUpdated]:
        left = rules.without_category(state.stacking_rules, category_id)
        return rules.decide_put(state, left, now)

    return await change(service, project_id, decide)
