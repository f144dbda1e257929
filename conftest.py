"""Fixtures of all tests: see runtime.testing.fixtures."""

pytest_plugins = ["runtime.testing.fixtures"]
