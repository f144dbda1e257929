"""Redemptions, rollbacks and the balances of everything that is limited."""
