"""Settings of the webhooks service."""

from runtime.settings import Settings as RuntimeSettings

UPSTREAM_SCHEDULE = "60,120,240,480,960,1920,3840,7680,15360,30720,61440,86400"


class Settings(RuntimeSettings):
    event_batch_interval_s: float = 0.0
    """Batches are not held apart here: a shop waits for its webhook (docs/adr/0017)."""
    tessera_allow_private_webhooks: bool = False
    """Let endpoints be private addresses, plain HTTP and any port: for local development only."""
    webhook_ports: str = "443,8443"
    """Ports that an endpoint may have."""
    webhook_timeout_s: float = 10.0
    """Longest time from the connection to the answer's status."""
    webhook_retry_schedule: str = UPSTREAM_SCHEDULE
    """Seconds after the first attempt at which the next ones follow; then the endpoint is disabled."""
    webhook_lease_margin_s: float = 10.0
    """How much longer than one attempt may take a delivery belongs to the process that took it."""
    webhook_retention_days: int = 30
    """How long deliveries that have ended can be looked at and sent again."""

    @property
    def retry_offsets_s(self) -> tuple[float, ...]:
        """The schedule as numbers."""
        return tuple(float(part) for part in self.webhook_retry_schedule.split(",") if part.strip())

    @property
    def ports(self) -> frozenset[int]:
        """The allowed ports as numbers."""
        return frozenset(int(part) for part in self.webhook_ports.split(",") if part.strip())
