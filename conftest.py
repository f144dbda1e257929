"""Fixtures of all tests: see runtime.testing.fixtures."""

from hypothesis import settings

pytest_plugins = ["runtime.testing.fixtures"]

# A busy machine is no fault of the code: the run's own timeout bounds a slow example.
settings.register_profile("tessera", deadline=None)
settings.load_profile("tessera")
