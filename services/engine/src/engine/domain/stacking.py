"""Which redeemables of a stack are tried at all: limits, categories and exclusion.

Behaviour: "Stacking". The project's stacking rules are laid over the defaults of ``contracts.stacking``.
"""

from collections import Counter
from collections.abc import Sequence

from contracts.errors import JsonObject
from engine.domain.definition import Code

EXCLUSIVE, JOINT, COMMON = "EXCLUSIVE", "JOINT", "COMMON"


def kind_of(category_id: str | None, rules: JsonObject) -> str:
    """Return how a category stacks."""
    if category_id in rules["exclusive_categories"]:
        return EXCLUSIVE
    return JOINT if category_id in rules["joint_categories"] else COMMON


class Admission:
    """Admits redeemables one after the other; counts those that were applied."""

    def __init__(self, rules: JsonObject, codes: Sequence[Code | None]) -> None:
        self.rules = rules
        self.applied = 0
        self.applied_exclusive = 0
        self.by_category: Counter[str] = Counter()
        self.exclusive_by_category: Counter[str] = Counter()
        kinds = {kind_of(code.definition.category_id, rules) for code in codes if code is not None}
        self.has_exclusive = EXCLUSIVE in kinds

    def reason_to_skip(self, code: Code) -> str | None:
        """Return the key under which this redeemable is skipped, None when it may be tried."""
        category = code.definition.category_id
        kind = kind_of(category, self.rules)
        if kind == COMMON and self.has_exclusive:
            return "exclusion_rules_not_met"
        if self.applied >= self.rules["applicable_redeemables_limit"]:
            return "applicable_redeemables_limit_exceeded"
        if kind == EXCLUSIVE:
            return self._exclusive_reason(category)
        return self._category_reason(category)

    def _exclusive_reason(self, category: str | None) -> str | None:
        if self.applied_exclusive >= self.rules["applicable_exclusive_redeemables_limit"]:
            return "applicable_exclusive_redeemables_limit_exceeded"
        limit = self.rules["applicable_exclusive_redeemables_per_category_limit"]
        if limit is not None and category and self.exclusive_by_category[category] >= limit:
            return "applicable_exclusive_redeemables_per_category_limit_exceeded"
        return self._category_reason(category)

    def _category_reason(self, category: str | None) -> str | None:
        # What has no category is in no category: only the limit on all applies to it.
        if category is None:
            return None
        limits = self.rules["applicable_redeemables_category_limits"] or {}
        limit = limits.get(category, self.rules["applicable_redeemables_per_category_limit"])
        if limit is not None and self.by_category[category] >= limit:
            return "applicable_redeemables_per_category_limit_exceeded"
        return None

    def skips_without_effect(self, code: Code) -> bool:
        """Say whether a redeemable that takes nothing off is skipped."""
        category = code.definition.category_id
        if category is not None and category in self.rules["no_effect_skip_categories"]:
            return True
        if category is not None and category in self.rules["no_effect_redeem_anyway_categories"]:
            return False
        return bool(self.rules["redeemables_no_effect_rule"] == "SKIP")

    def count(self, code: Code) -> None:
        """Count a redeemable that was applied."""
        category = code.definition.category_id
        self.applied += 1
        if category is not None:
            self.by_category[category] += 1
        if kind_of(category, self.rules) == EXCLUSIVE:
            self.applied_exclusive += 1
            if category is not None:
                self.exclusive_by_category[category] += 1
