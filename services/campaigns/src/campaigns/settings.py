"""Settings of the campaigns service."""

from pydantic import Field

from runtime.settings import Settings as RuntimeSettings


class Settings(RuntimeSettings):
    generation_codes_per_s_max: int = Field(default=5_000, ge=0)
    """How fast one process generates; 0: as fast as it can.

    Every service that lists codes takes them in the order of the log, so that a read of what was just
    written waits behind them. A generator that is faster than the slowest of these gains nothing.
    """
