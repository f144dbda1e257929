"""Checks and reports that are run by make targets."""
