"""``/v1/vouchers/{code}/sessions``."""

from contracts.ledger import ReleaseHold
from gateway.http import Answer, Call, operation
from gateway.operations.vouchers import one_voucher


@operation(
    "DELETE", "/v1/vouchers/{code}/sessions/{sessionKey}", is_answer_kept=False, statuses=(204,)
)
async def release_session(call: Call) -> Answer:
    """Release what a validation's session holds of a voucher."""
    voucher = await one_voucher(call, call.params["code"])
    session_key = call.params["sessionKey"]
    command = ReleaseHold(session_key=session_key, holder=voucher["id"])
    scopes = [f"voucher/{voucher['id']}", f"session/{session_key}"]
    key = voucher.get("campaign_id") or voucher["id"]
    await call.command("ledger", key, command, remember=scopes)
    return Answer(204)
