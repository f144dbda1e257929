"""Limits of the ledger."""

PLAN_ATTEMPTS_MAX = 3
"""How often a plan is handed back to the engine before the caller is told to come again."""

ORDER_TURNS_MAX = 60
"""How often a redemption lets another one of its order go first before the caller is told to come
again. Redemptions of one order that arrive at once take turns, so this is about how many may."""

REDEEMABLES_MAX = 30
"""Redeemables of one redemption."""

POSTINGS_MAX = 600
"""Postings of one redemption: thirty redeemables, each with every limit there is."""

ROLLBACK_DAYS_MAX = 93
"""A redemption may be rolled back for three months."""

EXPIRED_HOLDS_MAX = 200
"""Holds that one turn of the timer releases."""

AMOUNT_MAX = 2**53
"""Largest amount of one account, the largest integer that JSON clients keep."""
