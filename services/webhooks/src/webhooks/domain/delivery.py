"""Deliveries: what an attempt's outcome means, and when the next one follows."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from contracts.webhooks import DeliveryAttempted
from webhooks import limits

Status = Literal["delivered", "pending", "exhausted"]
GONE = 410


class DeliveryState(BaseModel):
    """How far a delivery has come. It exists from its first attempt on."""

    model_config = ConfigDict(frozen=True)

    endpoint_id: str
    status: Status
    attempts: int


class Answer(NamedTuple):
    """What came back from an endpoint: a status, or the reason why there is none."""

    status: int | None
    reason: str | None
    duration_ms: int
    retry_after_s: float | None = None

    @property
    def is_success(self) -> bool:
        """Say whether the endpoint took the webhook."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - 2xx

    @property
    def is_gone(self) -> bool:
        """Say whether the endpoint wants no more."""
        return self.status == GONE


class Attempt(NamedTuple):
    """The facts of one attempt."""

    attempt: int
    first_at: datetime
    at: datetime
    answer: Answer


class Verdict(NamedTuple):
    """What follows from an attempt."""

    status: Status
    next_attempt_at: datetime | None


def judge(attempt: Attempt, offsets_s: Sequence[float], jitter: float) -> Verdict:
    """Decide what follows; ``jitter`` is from 0 to 1 and makes the pause up to a tenth longer.

    ``offsets_s`` are the seconds after the first attempt at which the others follow.
    """
    assert 0 <= jitter <= 1, "jitter is a share"
    if attempt.answer.is_success:
        return Verdict("delivered", None)
    if attempt.answer.is_gone or attempt.attempt > len(offsets_s):
        return Verdict("exhausted", None)
    due_at = attempt.first_at + timedelta(seconds=offsets_s[attempt.attempt - 1])
    asked_s = min(attempt.answer.retry_after_s or 0.0, limits.RETRY_AFTER_S_MAX)
    pause_s = max((due_at - attempt.at).total_seconds(), asked_s, 0.0)
    pause_s *= 1 + limits.JITTER_SHARE * jitter
    return Verdict("pending", attempt.at + timedelta(seconds=pause_s))


def evolve(state: DeliveryState | None, event: DeliveryAttempted) -> DeliveryState:
    """Return the delivery after an attempt."""
    attempts = state.attempts if state is not None else 0
    assert event.attempt == attempts + 1, f"attempt {event.attempt} after {attempts}"
    return DeliveryState(endpoint_id=event.endpoint_id, status=event.status, attempts=event.attempt)
