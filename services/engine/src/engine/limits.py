"""Every limit of the engine."""

SESSIONS_PER_CUSTOMER_MAX = 20
"""Sessions through which a customer holds something at a time."""

ITEMS_MAX = 500
"""Lines of an order."""

AMOUNT_MAX = 2**53 - 1
"""Minor units: the largest integer that every JSON reader keeps exactly."""

PRICE_MAX = 10**12
"""Highest price in a request, in minor units."""

QUANTITY_MAX = 10**6
"""Highest quantity of an order's item."""

UNITS_NUMBERED_MAX = 1_000
"""Units of an order up to which an answer numbers those that are discounted."""

RULES_MAX = 200
"""Rules of one validation rule, those inside others included."""

RULE_LEVELS_MAX = 10
"""Rules inside rules."""

LOGIC_LENGTH_MAX = 2_000
"""Characters of a rule's ``logic``."""

LOGIC_DEPTH_MAX = 20
"""Nested parentheses."""

CONDITION_VALUES_MAX = 1_000
"""Values of one condition."""

TIERS_PER_STACK_MAX = 30
"""Promotion tiers of one promotion stack."""

BEST_DEAL_STEPS_MAX = 2_000
"""Redeemables that the search for the best deal applies on trial: every order of six has 1,956."""

BEST_DEAL_LINE_STEPS_MAX = 40_000
"""The same, times the lines of the order."""

EFFORT_MAX = 4_000_000
"""Steps of work that a cart may be, as counted before it is priced; a step is about 0.1 µs of a core."""

EFFORT_OF_OFFERS_MAX = 60_000_000
"""The same for everything that one qualification may have to try."""

EXPLAINED_RULES_MAX = 1_000
"""Rules that the answer of a validation explains, divided by its redeemables."""

EXPLAINED_RULES_OF_OFFER_MAX = 30
"""Rules that the answer of a qualification explains of each redeemable."""

EXPLAINED_LINES_MAX = 10
"""Lines that an explanation shows of one rule, or of one redeemable."""

EXPLAINED_VALUES_MAX = 10
"""Values that an explanation shows of one condition or attribute."""

EXPLAINED_LENGTH_MAX = 100
"""Characters that an explanation shows of a text."""

DEFINITIONS_CACHED_MAX = 10_000
"""Definitions, rules and segments kept in memory, each."""

RECIPES_PER_DEFINITION_MAX = 16
"""Ways to apply a definition, by the versions of the rules assigned to its codes, kept in memory."""

ID_LENGTH_MAX = 1_000
"""Characters of a code, an id or a source id in a request."""

ANSWER_BYTES_MAX = 6 * 1024 * 1024
"""About how large an answer or a plan may become: the order is in it once per redeemable."""

LINE_BYTES = 300
"""About what pricing adds to a line."""

ATTRIBUTES_MAX = 100
"""Attributes of a product that a request names."""

ATTRIBUTE_LENGTH_MAX = 255
"""Characters of a text that a condition compares."""

OFFERS_MAX = 10_000
"""Codes without campaign, tiers, stacks and campaigns each, that qualifications look at: the newest."""

HELD_MAX = 1_000
"""Codes of one customer that qualifications look at."""

OFFERS_READ_MAX = 1_000
"""Definitions that are read at once when offers are put together anew."""

PROJECTS_OFFERED_MAX = 100
"""Projects whose offers are kept in memory."""
