"""Publications: what may be asked for, who gets what, and how it is recorded.

Which code is free is not decided here: the database draws it (see the README on concurrency).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from contracts import public
from contracts.campaigns import Campaign, Voucher
from contracts.distribution import Publication, PublicationFailed, PublicationSucceeded, Publish
from contracts.errors import DomainError, ErrorBody, JsonObject
from contracts.limits import CODES_PER_PUBLICATION_MAX
from contracts.payload import metadata, refuse, storable_object, text
from contracts.vouchers import effective_definition
from distribution import limits
from distribution.domain.errors import (
    DuplicateSourceId,
    MissingVouchers,
    TooManyVouchersRequested,
    VoucherCannotBePublished,
)

PublicationEvent = PublicationSucceeded | PublicationFailed
ID = text(limits.ID_LENGTH_MAX)
CODE = text(limits.CODE_LENGTH_MAX)
SOURCE_ID = text(limits.SOURCE_ID_LENGTH_MAX)
CHANNEL = text(limits.NAME_LENGTH_MAX)


class PublicationState(BaseModel):
    """A publication as it ended. ``error`` is set when it failed."""

    model_config = ConfigDict(frozen=True)

    publication: Publication
    error: ErrorBody | None = None


class Code(NamedTuple):
    """A code of the pool, with the campaign that it belongs to."""

    voucher: Voucher
    campaign: Campaign | None

    @property
    def is_generic(self) -> bool:
        """Say whether many customers may get it."""
        return self.campaign is None or self.campaign.type == "STANDALONE"


def check_publish(command: Publish) -> None:
    """Refuse a request that no state could allow."""
    if command.campaign is None and command.voucher is None:
        raise MissingVouchers("Either Campaign or Voucher is required", prop="campaign")
    if not 1 <= command.count <= CODES_PER_PUBLICATION_MAX:
        raise refuse("campaign.count", f"must be from 1 to {CODES_PER_PUBLICATION_MAX}")
    if command.campaign is not None:
        ID("campaign.name", command.campaign)
    if command.voucher is not None:
        CODE("voucher", command.voucher)
    if command.source_id is not None:
        SOURCE_ID("source_id", command.source_id)
        if command.count > 1:
            raise TooManyVouchersRequested("Only up to 1 can be published", prop="campaign.count")
    CHANNEL("channel", command.channel)
    metadata("metadata", command.metadata)
    check_customer(command.customer)


def check_customer(customer: JsonObject) -> None:
    """Refuse a customer that cannot be told apart from others, or stored."""
    storable_object("customer", customer)
    if not isinstance(customer.get("id"), str) or not customer["id"]:
        raise refuse("customer", "must have an id or a source_id")
    for name, reader in (("id", ID), ("source_id", SOURCE_ID)):
        if customer.get(name) is not None:
            reader(f"customer.{name}", customer[name])
    metadata("customer.metadata", customer.get("metadata"))


def wants_once(command: Publish, campaign: Campaign | None) -> bool:
    """Say whether a customer who has a code of this campaign gets that one again."""
    if campaign is None:
        return False
    if command.join_once is not None:
        return command.join_once
    return campaign.join_once


def check_member(campaign: Campaign) -> None:
    """Refuse a second membership in a loyalty program."""
    if campaign.campaign_type == "LOYALTY_PROGRAM":
        raise VoucherCannotBePublished(
            "Voucher cannot be published. Customer already joined program."
        )


def check_same_source(command: Publish, stored: PublicationState, campaign_id: str | None) -> None:
    """Refuse a ``source_id`` of another publication; its own repetition is answered as before."""
    publication = stored.publication
    is_same_customer = publication.customer.get("id") == command.customer["id"]
    if not is_same_customer or publication.campaign_id != campaign_id:
        raise DuplicateSourceId(
            f"Publication with source_id: '{command.source_id}' already exists", prop="source_id"
        )


def decide_publish(
    command: Publish, campaign_id: str | None, codes: Sequence[Code], now: datetime
) -> PublicationSucceeded:
    """Record that the customer got these codes."""
    assert len(codes) == command.count, "a publication is whole or nothing"
    vouchers = [_snapshot(code, command.customer["id"]) for code in codes]
    return PublicationSucceeded(publication=_publication(command, campaign_id, vouchers, now))


def decide_fail(
    command: Publish, campaign_id: str | None, error: DomainError, now: datetime
) -> PublicationFailed:
    """Record that the customer got nothing."""
    return PublicationFailed(
        publication=_publication(command, campaign_id, [], now), error=error.body()
    )


def _publication(
    command: Publish, campaign_id: str | None, vouchers: list[JsonObject], now: datetime
) -> Publication:
    return Publication(
        id=command.publication_id,
        customer=command.customer,
        campaign_id=campaign_id,
        vouchers=vouchers,
        source_id=command.source_id,
        channel=command.channel,
        metadata=command.metadata,
        created_at=now,
    )


def _snapshot(code: Code, customer_id: str) -> JsonObject:
    """Return the voucher as the API shows it at this moment."""
    voucher, campaign = code
    definition = effective_definition(voucher, campaign)
    return public.voucher(
        voucher.model_dump(mode="json"),
        definition.model_dump(mode="json"),
        campaign_name=campaign.name if campaign else None,
        balances={"holder_id": None if code.is_generic else customer_id, "publish_count": 1},
    )


def evolve(state: PublicationState | None, event: PublicationEvent) -> PublicationState:
    """Return the publication after the event: it has only one."""
    assert state is None, "a publication ends once"
    error = event.error if isinstance(event, PublicationFailed) else None
    return PublicationState(publication=event.publication, error=error)
