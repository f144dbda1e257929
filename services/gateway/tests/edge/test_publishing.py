"""A code that was made a moment ago is published: distribution may hear of it later than this gateway."""

from datetime import UTC, datetime

import pytest

from contracts import ids
from contracts.campaigns import Voucher, VoucherCreated, VoucherDefinition
from contracts.distribution import Publish
from contracts.messages import Message, Reply
from services.gateway.tests.edge.front import Front, Keys, assert_refused, refused

pytestmark = pytest.mark.integration

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BODY = {"voucher": "NEW", "customer": {"source_id": "ada"}}


async def heard(front: Front, keys: Keys) -> str:
    """Let this gateway hear of the code; returns its voucher's id."""
    voucher_id = ids.voucher_id(keys.project_id, "NEW")
    definition = VoucherDefinition(
        type="DISCOUNT_VOUCHER", discount={"type": "PERCENT", "percent_off": 10.0}
    )
    made = Voucher(id=voucher_id, code="NEW", definition=definition, created_at=NOON)
    await front.harness.event(
        keys.project_id,
        VoucherCreated(voucher=made),
        source="campaigns",
        stream=f"voucher-{voucher_id}",
    )
    return voucher_id


def distribution(front: Front, voucher_id: str, *, deaf: int) -> None:
    """Play distribution, which has not heard of the code when it is asked the first times."""

    def play(message: Message) -> Reply:
        assert isinstance(message, Publish)
        if len(front.services.asked) <= deaf:
            return refused(404, "not_found", resource_id="NEW", resource_type="voucher")
        publication = {
            "id": message.publication_id,
            "customer": message.customer,
            "vouchers": [{"id": voucher_id, "code": "NEW"}],
            "created_at": NOON.isoformat(),
        }
        return Reply(body={"publication": publication})

    front.services.play[Publish.TYPE] = play


async def test_what_distribution_has_not_heard_of_is_waited_for(front: Front, other: Front) -> None:
    keys = await front.project()
    voucher_id = await heard(front, keys)
    distribution(other, voucher_id, deaf=2)
    made = await other.send("POST", "/v1/publications", keys.server, BODY, key="once")
    assert (made.status, made.json["voucher"]["code"]) == (200, "NEW")
    again = await other.send("POST", "/v1/publications", keys.server, BODY, key="once")
    assert again.json["id"] == made.json["id"], "the same request has the same answer"


async def test_it_is_not_waited_for_without_end(front: Front) -> None:
    keys = await front.project()
    voucher_id = await heard(front, keys)
    distribution(front, voucher_id, deaf=1_000_000)
    answer = await front.send("POST", "/v1/publications", keys.server, BODY)
    assert_refused(answer, 503, "service_unavailable")
    assert answer.headers["retry-after"]


async def test_what_nobody_knows_is_refused_at_once(front: Front) -> None:
    keys = await front.project()
    distribution(front, "v_none", deaf=1_000_000)
    answer = await front.send("POST", "/v1/publications", keys.server, BODY)
    assert_refused(answer, 404, "not_found")
    assert len(front.services.asked) == 1


async def test_another_thing_that_is_missing_is_not_waited_for(front: Front) -> None:
    keys = await front.project()
    await heard(front, keys)
    front.services.play[Publish.TYPE] = lambda message: refused(404, "not_found", resource_id="x")
    answer = await front.send("POST", "/v1/publications", keys.server, BODY)
    assert_refused(answer, 404, "not_found")
    assert len(front.services.asked) == 1
