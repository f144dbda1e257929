"""Publications, and distributions."""

from collections.abc import Iterable

from contracts import public
from contracts.distribution import (
    CodeRequested,
    Distribution,
    DistributionCreated,
    DistributionUpdated,
    MessageFailed,
    MessageQueued,
    MessageSent,
    PublicationFailed,
    PublicationSucceeded,
)
from contracts.messages import Envelope, Event
from gateway.read_models.campaign_quarters import add, quarter
from gateway.read_models.documents import PROJECT_AND_ID, document
from runtime.read_model import Fold, Row, RowKey, Rows, Table

PUBLICATIONS = Table(
    "publications",
    PROJECT_AND_ID,
    {
        "customer_id": "text",
        "tracking_id": "text",
        "campaign_id": "text",
        "source_id": "text",
        "result": "text",
        "created_at": "timestamptz",
        "doc": "jsonb",
        "error": "jsonb",
    },
)
HOLDERS = Table(
    "voucher_holders",
    {"project_id": "text", "voucher_id": "text"},
    {"holder_id": "text", "publish_count": "bigint", "position": "bigint"},
)
DISTRIBUTIONS = Table(
    "distributions", PROJECT_AND_ID, {"name": "text", "created_at": "timestamptz", "doc": "jsonb"}
)
TABLES = [PUBLICATIONS, HOLDERS, DISTRIBUTIONS]


def keys_publication(
    event: PublicationSucceeded | PublicationFailed, envelope: Envelope
) -> Iterable[RowKey]:
    state = event.publication
    yield PUBLICATIONS, (envelope.project_id, state.id)
    if state.campaign_id is not None:
        yield quarter(envelope.project_id, state.campaign_id, state.created_at)
    for voucher in state.vouchers:
        yield HOLDERS, (envelope.project_id, voucher["id"])


def apply_publication(
    rows: Rows, event: PublicationSucceeded | PublicationFailed, envelope: Envelope
) -> None:
    state = event.publication
    project_id = envelope.project_id
    has_failed = isinstance(event, PublicationFailed)
    row: Row = {
        "customer_id": state.customer.get("id"),
        "tracking_id": public.tracking(project_id, state.customer),
        "campaign_id": state.campaign_id,
        "source_id": state.source_id,
        "result": "FAILURE" if has_failed else "SUCCESS",
        "created_at": state.created_at,
        "doc": state.model_dump(mode="json", exclude_none=True),
    }
    if isinstance(event, PublicationFailed):
        row["error"] = event.error.model_dump(mode="json", exclude_none=True)
    else:
        for voucher in state.vouchers:
            _hold(rows, (project_id, voucher["id"]), state.customer.get("id"), envelope.position)
    rows.put(PUBLICATIONS, (project_id, state.id), row)
    if state.campaign_id is not None:
        name = "publications_failed" if has_failed else "publications_succeeded"
        add(rows, project_id, state.campaign_id, state.created_at, **{name: 1})


def _hold(rows: Rows, key: tuple[str, str], customer_id: str | None, position: int) -> None:
    # Publications of one code are in different partitions: the newest one says who holds it.
    row = rows.get(HOLDERS, *key) or {"publish_count": 0, "position": 0}
    row["publish_count"] += 1
    if position > row["position"]:
        row |= {"holder_id": customer_id, "position": position}
    rows.put(HOLDERS, key, row)


def distribution_columns(state: Distribution) -> Row:
    return {"name": state.name, "created_at": state.created_at}


PUBLICATION = Fold(keys_publication, apply_publication)
DISTRIBUTION = document(DISTRIBUTIONS, lambda event: event.distribution, distribution_columns)
FOLDS: dict[type[Event], Fold] = {
    PublicationSucceeded: PUBLICATION,
    PublicationFailed: PUBLICATION,
    DistributionCreated: DISTRIBUTION,
    DistributionUpdated: DISTRIBUTION,
}
IGNORED: list[type[Event]] = [CodeRequested, MessageQueued, MessageSent, MessageFailed]
