"""Settings that all services share, read from the environment."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """One attribute per environment variable; a service adds its own in a subclass."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    database_url: str = "postgresql://tessera:tessera@127.0.0.1:5432/tessera"
    """Administrator's DSN; each service connects as a role of its own, derived from it."""
    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    tessera_role_password: SecretStr = SecretStr("tessera-development")
    """Every role's password is an HMAC of this and the role's name."""
    tessera_pepper: SecretStr = SecretStr("tessera-development-pepper")
    """Key of the hashes under which API keys are stored."""
    tessera_secret_key: SecretStr = SecretStr("dGVzc2VyYS1kZXZlbG9wbWVudC1zZWNyZXQta2V5ISE=")
    """32 bytes in base64; encrypts webhook secrets."""
    tessera_instance: int = 0
    """Number of this process among those of its service."""
    health_port: int = 0
    """Port of health and metrics; 0 takes a free one."""
    health_host: str = "127.0.0.1"
    http_port: int = 0
    """Port of the gateway's API."""
    http_host: str = "127.0.0.1"
    log_format: str = "pretty"
    log_level: str = "info"
    topic_prefix: str = ""
    """Put before every topic's name, so that tests can share a broker."""
    event_partitions: int = Field(default=4, ge=1, le=256)
    """Partitions of every topic. Part of the stored positions: changing it needs ``make republish``."""
    replication_factor: int = 1
    relay_poll_s: float = 0.2
    """How often the relay looks for events though nobody has told it of any."""
    relay_rest_s: float = 0.005
    """How long it lets replies go first, and events gather, when it was told of some."""
    batch_timeout_ms: int = 200
    """How long an idle consumer waits before it looks whether it has to stop."""
    rpc_timeout_s: float = 10.0
    """How long a caller waits for a reply before it answers 503."""
    event_batch_interval_s: float = 0.05
    """How far apart a consumer of events begins its batches, unless it is behind or somebody waits for it."""
    batch_records_max: int = 500
    """Records handled in one transaction."""
    pool_size_max: int = 8
    """Connections of one process to Postgres."""
    retry_attempts_max: int = 5
    """How often a message that breaks its handler is tried before it becomes a dead letter."""
    retry_delay_s: float = 0.05
    """First delay of those retries; doubled each time."""
    projection_wait_s: float = 5.0
    """How long a reader waits for its own writes: longer than a process takes to start again, whose
    partitions nobody else applies meanwhile, and half of what a caller waits for its reply."""
    unknown_project_wait_s: float = 5.0
    """How long upstream's message of a project that nobody told of yet is waited with."""
    idempotency_hours: int = 48
    """How long replies are kept (the promise is 24)."""
