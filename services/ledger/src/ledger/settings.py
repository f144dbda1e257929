"""Settings of the ledger."""

from runtime.settings import Settings as RuntimeSettings


class Settings(RuntimeSettings):
    hold_expiry_poll_s: float = 1.0
    """How often holds whose time is up are looked for."""
