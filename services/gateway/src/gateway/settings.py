"""Settings of the gateway."""

from runtime.settings import Settings as RuntimeSettings


class Settings(RuntimeSettings):
    rate_per_minute: int = 600_000
    """Requests a minute that a project may send, unless it has a rate of its own."""
    key_cache_s: float = 0.8
    """How long a key is trusted before it is read again: other processes' changes hold within a second."""
