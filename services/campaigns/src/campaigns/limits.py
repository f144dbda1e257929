"""Limits of campaigns, each with its unit in its name."""

NAME_LENGTH_MAX = 255
"""Characters of a name."""

ID_LENGTH_MAX = 100
"""Characters of an id that a client sends."""

DESCRIPTION_LENGTH_MAX = 5_000
"""Characters of a description."""

ADDITIONAL_INFO_LENGTH_MAX = 5_000
"""Characters of a voucher's ``additional_info``."""

MESSAGE_LENGTH_MAX = 1_000
"""Characters of a validation rule's own text."""

CODE_LENGTH_MAX = 100
"""Characters of a code, prefix and postfix included."""

CHARSET_LENGTH_MAX = 256
"""Different characters of a charset; one random byte draws one character."""

CODES_PER_ACTION_MAX = 10_000_000
"""Codes that one asynchronous action generates."""

ACTIONS_PER_CAMPAIGN_MAX = 20
"""Code generations of one campaign that run at the same time."""

GENERATION_SLICE_CODES = 2_000
"""Codes of one transaction of the generator; about 40 ms, between which commands get their turn."""

GENERATION_DRAWS_MAX = 10
"""How often a slice draws anew for codes that are already taken."""

PATTERN_LISTED_MAX = 100_000
"""Codes of a pattern up to which the generator lists those that are left when draws find none."""

GENERATION_IDLE_S = 0.05
"""Pause of the generator when there is nothing to do."""

AMOUNT_MINOR_MAX = 10**12
"""Highest amount of money in a definition."""

QUANTITY_MAX = 10**6
"""Highest quantity of units in a definition."""

UNITS_MAX = 20
"""Products of a discount that gives many."""

REDEMPTIONS_MAX = 10**12
"""Highest limit of uses."""

PERCENT_DECIMALS_MAX = 4
"""Digits after the point of a percentage."""

VALIDITY_HOURS_MAX = 50
"""Windows of ``validity_hours``."""

DURATION_DAYS_MAX = 3_660
"""Longest duration (ten years)."""

DURATION_LENGTH_MAX = 50
"""Characters of an ISO 8601 duration."""

RULES_PER_RULE_MAX = 200
"""Rules of one validation rule, those inside others included."""

RULE_LEVELS_MAX = 10
"""Rules inside rules."""

BUNDLE_PARTS_MAX = 50
"""Products, SKUs and collections of one bundle."""

BUNDLES_MAX = 100
"""Complete bundles of one order that count."""

RULE_VALUES_MAX = 1_000
"""Values of one condition."""

RULE_VALUE_LENGTH_MAX = 1_000
"""Characters of one value of a condition."""

LOGIC_LENGTH_MAX = 1_000
"""Characters of a rule's ``logic``."""

LOGIC_DEPTH_MAX = 20
"""Parentheses inside each other."""

APPLICABLE_MAX = 1_000
"""Products and SKUs that one validation rule includes, and likewise excludes."""

RULES_PER_TARGET_MAX = 10
"""Validation rules that one request assigns to what it creates."""

HIERARCHY_MAX = 1_000_000
"""Highest hierarchy of a category or a promotion tier."""

CATEGORIES_PER_PROJECT_MAX = 1_000
"""Categories of one project."""

TIERS_PER_CAMPAIGN_MAX = 1_000
"""Promotion tiers of one campaign."""

TIERS_PER_REQUEST_MAX = 100
"""Promotion tiers that are created with their campaign."""

TIERS_PER_STACK_MAX = 30
"""Promotion tiers of one promotion stack."""

BANNER_LENGTH_MAX = 1_000
"""Characters of what a promotion tier shows to a customer."""

AUDIT_FINDINGS_MAX = 1_000
"""Findings that one audit names."""

GENERATION_CANDIDATES_MAX = 20
"""Generations that a worker looks at before it waits."""

USES_SHOWN_MAX = 10
"""Assignments that the refusal of a rule's deletion names."""
