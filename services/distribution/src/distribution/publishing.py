"""Giving codes to a customer, inside the caller's transaction. Used by the command and by triggers.

Nothing here raises after it has written: a refusal that the customer's history must show comes back
as an outcome, so that the transaction may go on.
"""

from typing import Literal, NamedTuple

from contracts import ids
from contracts.campaigns import Campaign
from contracts.distribution import CodeRequested, Publish
from contracts.errors import DomainError, NotFound
from distribution import queries
from distribution.domain import publication as publications
from distribution.domain.errors import NoVoucherSuitable, VoucherAlreadyPublished
from distribution.domain.publication import (
    Code,
    PublicationState,
    check_member,
    check_publish,
    check_same_source,
    decide_fail,
    decide_publish,
    wants_once,
)
from runtime.aggregate import Aggregate
from runtime.unit import Unit

PUBLICATION: Aggregate[PublicationState] = Aggregate(
    "publication", PublicationState, publications.evolve
)


class Target(NamedTuple):
    """Where the codes are to come from: a campaign, or one code that was named."""

    campaign: Campaign | None
    code: Code | None

    @property
    def campaign_id(self) -> str | None:
        """The campaign's id, if there is one."""
        return self.campaign.id if self.campaign else None


Outcome = PublicationState | Literal["waiting"]
"""A publication, succeeded or failed; or "waiting": its campaign has been asked for a code."""


async def publish_codes(unit: Unit, command: Publish) -> Outcome:
    """Publish, or say how it ended before; raises ``DomainError`` only if nothing was written."""
    stored = await unit.load(PUBLICATION, command.publication_id)
    if stored is not None:
        return stored
    check_publish(command)
    target = await _target(unit, command)
    earlier = await _claim(unit, command, target)
    if earlier is not None:
        return earlier
    codes = await _draw(unit, command, target)
    if isinstance(codes, DomainError):
        await queries.release_claims(unit.connection, unit.project_id, command.publication_id)
        if _may_grow(target):
            _request_code(unit, command, target)
            return "waiting"
        failed = decide_fail(command, target.campaign_id, codes, unit.now)
        return unit.append(PUBLICATION, command.publication_id, failed)
    succeeded = decide_publish(command, target.campaign_id, codes, unit.now)
    return unit.append(PUBLICATION, command.publication_id, succeeded)


async def _target(unit: Unit, command: Publish) -> Target:
    if command.voucher is not None:
        code = await queries.find_code(unit.connection, unit.project_id, command.voucher)
        if code is None:
            raise NotFound.of("voucher", command.voucher)
        return Target(code.campaign, code)
    assert command.campaign is not None, "check_publish wants one of both"
    campaign = await queries.find_campaign(unit.connection, unit.project_id, command.campaign)
    if campaign is None:
        raise NotFound.of("campaign", command.campaign)
    return Target(campaign, None)


async def _claim(unit: Unit, command: Publish, target: Target) -> PublicationState | None:
    """Claim what is once; returns the earlier publication that the request is answered with."""
    customer_id: str = command.customer["id"]
    mine = command.publication_id
    if command.source_id is not None:
        owner = await queries.claim_source(
            unit.connection, unit.project_id, command.source_id, mine
        )
        if owner != mine:
            stored = await _stored(unit, owner)
            check_same_source(command, stored, target.campaign_id)
            return stored
    if target.campaign is None:
        return None
    owner = await queries.claim_membership(
        unit.connection, unit.project_id, target.campaign.id, customer_id, mine
    )
    if owner == mine or not wants_once(command, target.campaign):
        return None
    await queries.release_claims(unit.connection, unit.project_id, mine)
    check_member(target.campaign)
    return await _stored(unit, owner)


async def _stored(unit: Unit, publication_id: str) -> PublicationState:
    state = await unit.load(PUBLICATION, publication_id)
    assert state is not None, f"{publication_id} is claimed and has no events"
    return state


async def _draw(unit: Unit, command: Publish, target: Target) -> list[Code] | DomainError:
    """Take as many codes as are wanted, or none."""
    if target.code is not None:
        return await _take_named(unit, command, target.code)
    assert target.campaign is not None, "a target has a campaign or a code"
    campaign_id = target.campaign.id
    connection, project_id = unit.connection, unit.project_id
    if target.campaign.type == "STANDALONE":
        drawn = await queries.generic_codes(connection, project_id, campaign_id, command.count)
    else:
        drawn = await queries.free_codes(connection, project_id, campaign_id, command.count)
        if len(drawn) == command.count:
            drawn = await queries.assign(connection, project_id, drawn, command.publication_id)
            assert len(drawn) == command.count, "a free code is locked, so nobody else takes it"
    if len(drawn) < command.count:
        return NoVoucherSuitable("Couldn't find as many published codes as were asked for.")
    return await queries.codes_of(connection, project_id, drawn)


async def _take_named(unit: Unit, command: Publish, code: Code) -> list[Code] | DomainError:
    if not code.voucher.active or command.count != 1:
        return NoVoucherSuitable(f"Voucher '{code.voucher.code}' is not active")
    if not code.is_generic:
        taken = await queries.assign(
            unit.connection, unit.project_id, [code.voucher.code], command.publication_id
        )
        if not taken:
            return VoucherAlreadyPublished(
                f"Voucher '{code.voucher.id}' has already been published"
            )
    return [code]


def _may_grow(target: Target) -> bool:
    return (
        target.code is None
        and target.campaign is not None
        and target.campaign.type == "AUTO_UPDATE"
    )


def _request_code(unit: Unit, command: Publish, target: Target) -> None:
    """Ask for one code per missing one; a try that is repeated asks again."""
    assert target.campaign_id is not None, "only a campaign grows"
    for _ in range(command.count):
        action_id = unit.new_id("aa")
        event = CodeRequested(campaign_id=target.campaign_id, action_id=action_id)
        unit.publish_event(f"code-request-{action_id}", event)


def publication_id_of(project_id: str, distribution_id: str, trigger_id: str) -> str:
    """Return the id of the publication that a trigger leads to: always the same."""
    return ids.derived_id("pub", project_id, distribution_id, trigger_id)
