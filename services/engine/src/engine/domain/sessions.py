"""A validation with a session: what applies becomes a hold, for the ledger to place.

Held is what the redemption would take, limits of rules included: a session that was promised is not
refused later because others were faster. For a customer each open session counts too.
"""

from contracts.accounts import account
from contracts.engine import ValidateStack
from contracts.errors import ErrorBody
from contracts.ledger import PlaceHold, Posting
from contracts.sessions import read_session
from engine import limits
from engine.domain.plan import contra_of, posting_of
from engine.domain.snapshot import Snapshot
from engine.domain.stack import Outcome, Step, apply_stack
from engine.domain.validate import shown


def place_hold(snapshot: Snapshot, request: ValidateStack, order_id: str | None) -> PlaceHold:
    """Return the command that holds what applies and answers the caller; raises ``InvalidPayload``."""
    session = read_session(snapshot.request.session or {})
    assert session.key is not None, "the gateway draws a key where none is sent"
    outcome = apply_stack(snapshot, must_suffice=True)
    answer = shown(snapshot, outcome, request.validation_id)
    if outcome.is_valid:
        answer["session"] = session.to_json()
    return PlaceHold(
        session_key=session.key,
        postings=_postings(snapshot, outcome, order_id) if outcome.is_valid else [],
        ttl_us=session.ttl_us,
        order_id=order_id,
        validation=request,
        answer=answer,
    )


def _postings(snapshot: Snapshot, outcome: Outcome, order_id: str | None) -> list[Posting]:
    customer_id = snapshot.customer.id if snapshot.customer else None
    contra = contra_of(order_id, customer_id)
    postings = [
        posting_of(claim, contra, _holder(step))
        for step in outcome.applied
        for claim in step.claims
    ]
    if snapshot.customer is not None:
        postings.append(_session_of(snapshot.customer.id, contra))
    return postings


def _holder(step: Step) -> str:
    return step.code.id if step.code is not None else step.redeemable.id


def _session_of(customer_id: str, contra: str) -> Posting:
    most = limits.SESSIONS_PER_CUSTOMER_MAX
    return Posting(
        account=account("customer-sessions", customer_id),
        contra=contra,
        unit="session",
        amount=1,
        limit=most,
        error=ErrorBody(
            code=400,
            key="too_many_sessions",
            message="Too many open sessions",
            details=f"A customer may hold codes through at most {most} sessions at a time",
        ),
    )


def key_of(snapshot: Snapshot, hold: PlaceHold) -> str:
    """Return the key under which the ledger orders the hold: the campaign, or the code."""
    named = str(snapshot.request.redeemables[0].get("id"))
    code = snapshot.codes.get(named) or snapshot.tiers.get(named)
    return (code.campaign_id or code.id) if code is not None else hold.session_key
