"""What tests need: a harness that runs a service on a real Postgres, leased databases, given/when/then."""

from runtime.testing.harness import Harness
from runtime.testing.scenario import given

__all__ = ["Harness", "given"]
