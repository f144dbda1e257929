"""A category: incentives of one kind, for the project's stacking rules."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from campaigns import limits
from campaigns.domain.errors import not_found
from contracts.errors import JsonObject
from contracts.payload import Fields, read, required, text, whole_number
from contracts.promotions import Category, CategoryCreated, CategoryDeleted, CategoryUpdated

CategoryEvent = CategoryCreated | CategoryUpdated | CategoryDeleted

FIELDS: Fields = {
    "name": text(limits.NAME_LENGTH_MAX, pattern=r"(?s).*\S.*", meaning="a non-empty string"),
    "hierarchy": whole_number(0, limits.HIERARCHY_MAX),
}


class CategoryState(BaseModel):
    """A category, and whether it was deleted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    category: Category
    is_deleted: bool = False


def decide_create(category_id: str, definition: JsonObject, now: datetime) -> CategoryCreated:
    """Return the category that the body defines."""
    for name, reader in FIELDS.items():
        required(reader, definition, name)
    values = read(definition, FIELDS)
    return CategoryCreated(category=Category(id=category_id, **values, created_at=now))


def decide_update(
    state: CategoryState, changes: JsonObject, now: datetime
) -> list[CategoryUpdated]:
    """Return the change; nothing if the category already is as sent."""
    before = state.category
    after = before.model_copy(update=read(changes, FIELDS))
    if after == before:
        return []
    stamp = {"updated_at": now, "version": before.version + 1}
    return [CategoryUpdated(category=after.model_copy(update=stamp))]


def decide_delete(state: CategoryState) -> CategoryDeleted:
    """Return the deletion."""
    return CategoryDeleted(category=state.category)


def existing(state: CategoryState | None, category_id: str) -> CategoryState:
    """Return the category; refuses one that is not there (any more)."""
    if state is None or state.is_deleted:
        raise not_found("category", category_id)
    return state


def evolve(state: CategoryState | None, event: CategoryEvent) -> CategoryState:
    """Return the category after the event."""
    assert (state is None) == isinstance(event, CategoryCreated), "a category is created first"
    return CategoryState(category=event.category, is_deleted=isinstance(event, CategoryDeleted))
