"""Requests in, answers or plans out, a batch at a time."""

from collections.abc import Sequence

from contracts import topics
from contracts.engine import PlanRedemption, Qualify, ValidateStack
from contracts.errors import DomainError, Unavailable
from contracts.ledger import Redeem
from contracts.messages import Envelope, Reply
from engine.definitions import Definitions
from engine.domain.plan import contention_key, plan
from engine.domain.sessions import key_of, place_hold
from engine.domain.snapshot import DrawnIds, Snapshot
from engine.domain.validate import validate
from engine.gathering import Asked, Gathered, gather, order_id_of
from engine.offers import Offers
from engine.qualifying import Qualifying
from runtime import ids
from runtime.consumer import unavailable
from runtime.database import Connection
from runtime.requests import Forward
from runtime.service import Service

REQUESTS = (ValidateStack, PlanRedemption, Qualify)


class Answers:
    """Answers batches of requests. Holds what is compiled, and the service it runs in."""

    def __init__(self) -> None:
        self.definitions = Definitions()
        self.offers = Offers(self.definitions)
        self.service: Service | None = None

    async def __call__(self, asked: Sequence[Asked]) -> Sequence[Reply | Forward]:
        """Gather for all stacks of the batch at once; a qualification is a batch of its own."""
        assert self.service is not None, "set by the composition root"
        stacks = [one for one in asked if not isinstance(one[1], Qualify)]
        drawn = [ids.new_id("cust") for _ in stacks]
        async with self.service.pool.acquire() as connection:
            gathered = await gather(connection, self.definitions, stacks, drawn) if stacks else []
            facts = iter(gathered)
            return [
                await self._qualify(connection, envelope, request)
                if isinstance(request, Qualify)
                else answer(envelope, request, next(facts))
                for envelope, request in asked
            ]

    async def _qualify(self, connection: Connection, envelope: Envelope, request: Qualify) -> Reply:
        question = Qualifying(connection, self.definitions, self.offers)
        try:
            return Reply(body=await question.answer(envelope, request, ids.new_id("cust")))
        except Unavailable as error:
            return unavailable(error)
        except DomainError as error:
            body = error.body()
            return Reply(status=body.code, error=body)


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
