"""Settings of the ledger."""

from runtime.settings import Settings as RuntimeSettings


class Settings(RuntimeSettings):
    hold_expiry_poll_s: float = 0.25
    """How often holds whose time is up are looked for: they are free this much later at most."""
