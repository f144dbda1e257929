"""Prices stacks and plans redemptions."""
