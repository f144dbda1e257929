"""Requests in, answers or plans out, a batch at a time."""

from collections.abc import Sequence

from contracts import topics
from contracts.engine import PlanRedemption, ValidateStack
from contracts.errors import DomainError, Unavailable
from contracts.ledger import Redeem
from contracts.messages import Envelope, Reply
from engine.definitions import Definitions
from engine.domain.plan import contention_key, plan
from engine.domain.sessions import key_of, place_hold
from engine.domain.snapshot import DrawnIds, Snapshot
from engine.domain.validate import validate
from engine.gathering import Asked, Gathered, gather, order_id_of
from runtime import ids
from runtime.consumer import unavailable
from runtime.requests import Forward
from runtime.service import Service

REQUESTS = (ValidateStack, PlanRedemption)


class Answers:
    """Answers batches of requests. Holds what is compiled, and the service it runs in."""

    def __init__(self) -> None:
        self.definitions = Definitions()
        self.service: Service | None = None

    async def __call__(self, asked: Sequence[Asked]) -> Sequence[Reply | Forward]:
        """Gather for the whole batch, then answer each request by itself."""
        assert self.service is not None, "set by the composition root"
        drawn = [ids.new_id("cust") for _ in asked]
        async with self.service.pool.acquire() as connection:
            gathered = await gather(connection, self.definitions, asked, drawn)
        return [
            answer(envelope, request, facts)
            for (envelope, request), facts in zip(asked, gathered, strict=True)
        ]


def answer(
    envelope: Envelope, request: ValidateStack | PlanRedemption, gathered: Gathered
) -> Reply | Forward:
    """Answer one request; what is wrong with it becomes a reply."""
    if isinstance(gathered, Unavailable):
        return unavailable(gathered)
    try:
        if isinstance(gathered, DomainError):
            raise gathered
        if isinstance(request, ValidateStack):
            return check(envelope, request, gathered)
        return plan_redemption(envelope, request, gathered)
    except DomainError as error:
        body = error.body()
        return Reply(status=body.code, error=body)


def _steps_max(snapshot: Snapshot) -> int:
    """Return how many redemptions there may be: a promotion stack stands for its tiers."""
    tiers = max((len(stack.tier_ids) for stack in snapshot.stacks.values()), default=0)
    return max(len(snapshot.request.redeemables), tiers)


def check(envelope: Envelope, request: ValidateStack, snapshot: Snapshot) -> Reply | Forward:
    """Check the stack; with a session, pass on to the ledger what is to be held."""
    if request.stack.session is None:
        return Reply(body=validate(snapshot, request.validation_id))
    hold = place_hold(snapshot, request, order_id_of(envelope.project_id, request.stack.order))
    return Forward(topics.commands("ledger"), key_of(snapshot, hold), hold)


def plan_redemption(envelope: Envelope, request: PlanRedemption, snapshot: Snapshot) -> Forward:
    """Plan, and pass the plan on to the ledger, which answers the caller."""
    drawn = DrawnIds(
        redemption_ids=tuple(ids.new_id("r") for _ in range(_steps_max(snapshot))),
        parent_id=ids.new_id("r"),
        failed_redemption_id=ids.new_id("rf"),
        order_id=order_id_of(envelope.project_id, request.stack.order) or ids.new_id("ord"),
    )
    made = plan(snapshot, drawn, attempt=request.attempt, planned_at=request.now, turn=request.turn)
    key = contention_key(snapshot, made)
    return Forward(topics.commands("ledger"), key, Redeem.model_construct(plan=made))
