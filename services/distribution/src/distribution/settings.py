"""Settings of the distribution service."""

from runtime.settings import Settings as RuntimeSettings


class Settings(RuntimeSettings):
    smtp_url: str = "smtp://127.0.0.1:25"
    """``smtp://[user:password@]host[:port]`` (STARTTLS if the server offers it) or ``smtps://…``."""
    smtp_from: str = "Tessera <no-reply@tessera.localhost>"
    """Sender of messages whose distribution names none."""
    smtp_timeout_s: float = 20.0
    """Longest wait for one answer of the SMTP server."""
    message_retry_schedule: str = "5,30,120,600,3600,21600"
    """Seconds to wait after each attempt that the server definitely did not accept."""
    message_lease_s: float = 120.0
    """How long a message belongs to the process that took it; above the time one attempt may take."""

    @property
    def retry_delays_s(self) -> tuple[float, ...]:
        """The schedule as numbers."""
        return tuple(float(part) for part in self.message_retry_schedule.split(",") if part.strip())
