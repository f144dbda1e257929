"""Campaigns, vouchers, validation rules, and the progress of code generation."""

from collections.abc import Iterable
from typing import Any

from contracts import ids
from contracts.campaigns import (
    Assignment,
    Campaign,
    CampaignCreated,
    CampaignDisabled,
    CampaignEnabled,
    CampaignUpdated,
    ValidationRule,
    ValidationRuleAssigned,
    ValidationRuleCreated,
    ValidationRuleDeleted,
    ValidationRuleUnassigned,
    ValidationRuleUpdated,
    Voucher,
    VoucherCreated,
    VoucherDisabled,
    VoucherEnabled,
    VouchersGenerated,
    VouchersGenerationCompleted,
    VouchersGenerationFailed,
    VouchersGenerationStarted,
    VoucherUpdated,
)
from contracts.messages import Envelope, Event
from gateway.read_models.campaign_quarters import add, quarter
from gateway.read_models.documents import PROJECT_AND_ID, document, removal
from runtime.read_model import Fold, Row, RowKey, Rows, Table

CAMPAIGNS = Table(
    "campaigns",
    PROJECT_AND_ID,
    {
        "name": "text",
        "campaign_type": "text",
        "active": "boolean",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
        "vouchers_count": "bigint",
        "generation_status": "text",
        "doc": "jsonb",
    },
)
# A voucher's type is NULL while it inherits its campaign's template.
VOUCHERS = Table(
    "vouchers",
    PROJECT_AND_ID,
    {
        "code": "text",
        "campaign_id": "text",
        "type": "text",
        "active": "boolean",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
        "definition": "jsonb",
        "version": "bigint",
    },
)
RULES = Table(
    "validation_rules",
    PROJECT_AND_ID,
    {"name": "text", "created_at": "timestamptz", "doc": "jsonb"},
)
ASSIGNMENTS = Table(
    "assignments",
    PROJECT_AND_ID,
    {"rule_id": "text", "related_object_id": "text", "created_at": "timestamptz", "doc": "jsonb"},
)
ACTIONS = Table(
    "async_actions",
    PROJECT_AND_ID,
    {
        "type": "text",
        "request_id": "text",
        "status": "text",
        "done": "bigint",
        "total": "bigint",
        "failed_count": "bigint",
        "failed": "jsonb",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
    },
)
TABLES = [CAMPAIGNS, VOUCHERS, RULES, ASSIGNMENTS, ACTIONS]


def campaign_columns(state: Campaign) -> Row:
    return {
        "name": state.name,
        "campaign_type": state.campaign_type,
        "active": state.active,
        "created_at": state.created_at,
        "updated_at": state.updated_at,
    }


def keys_voucher(event: Any, envelope: Envelope) -> Iterable[RowKey]:
    yield VOUCHERS, (envelope.project_id, event.voucher.id)
    if isinstance(event, VoucherCreated) and event.voucher.campaign_id is not None:
        yield CAMPAIGNS, (envelope.project_id, event.voucher.campaign_id)
        yield quarter(envelope.project_id, event.voucher.campaign_id, event.voucher.created_at)


def apply_voucher(rows: Rows, event: Any, envelope: Envelope) -> None:
    state: Voucher = event.voucher
    key = (envelope.project_id, state.id)
    definition = state.definition
    if isinstance(event, VoucherCreated) and state.campaign_id is not None:
        _count(rows, envelope.project_id, state.campaign_id, 1)
        more = {"vouchers_created": 1, "created_vouchers_amount": event.gift_amount or 0}
        add(rows, envelope.project_id, state.campaign_id, state.created_at, **more)
    row = {
        "code": state.code,
        "campaign_id": state.campaign_id,
        "type": definition.type if definition else None,
        "active": state.active,
        "created_at": state.created_at,
        "updated_at": state.updated_at,
        "definition": definition.model_dump(mode="json", exclude_none=True) if definition else None,
        "version": state.version if definition else None,
    }
    rows.put(VOUCHERS, key, row)


def _count(rows: Rows, project_id: str, campaign_id: str, more: int) -> None:
    campaign = rows.get(CAMPAIGNS, project_id, campaign_id) or {}
    count = (campaign.get("vouchers_count") or 0) + more
    rows.put(CAMPAIGNS, (project_id, campaign_id), {**campaign, "vouchers_count": count})


def keys_started(event: VouchersGenerationStarted, envelope: Envelope) -> Iterable[RowKey]:
    yield ACTIONS, (envelope.project_id, event.action_id)
    yield CAMPAIGNS, (envelope.project_id, event.campaign_id)


def apply_started(rows: Rows, event: VouchersGenerationStarted, envelope: Envelope) -> None:
    row = {
        # The gateway's request is what a command is correlated with, and its events in turn.
        "request_id": envelope.correlation_id,
        "status": "IN_PROGRESS",
        "done": 0,
        "total": event.total,
        "created_at": event.started_at,
        "updated_at": event.started_at,
    }
    rows.put(ACTIONS, (envelope.project_id, event.action_id), row)
    _generation(rows, envelope.project_id, event.campaign_id, "IN_PROGRESS")


def _generation(rows: Rows, project_id: str, campaign_id: str, status: str) -> None:
    campaign = rows.get(CAMPAIGNS, project_id, campaign_id) or {}
    rows.put(CAMPAIGNS, (project_id, campaign_id), {**campaign, "generation_status": status})


def keys_generated(event: VouchersGenerated, envelope: Envelope) -> Iterable[RowKey]:
    yield ACTIONS, (envelope.project_id, event.action_id)
    yield CAMPAIGNS, (envelope.project_id, event.campaign_id)
    yield quarter(envelope.project_id, event.campaign_id, event.generated_at)
    for code in event.codes:
        yield VOUCHERS, (envelope.project_id, ids.voucher_id(envelope.project_id, code))


def apply_generated(rows: Rows, event: VouchersGenerated, envelope: Envelope) -> None:
    project_id = envelope.project_id
    count = len(event.codes)
    _count(rows, project_id, event.campaign_id, count)
    more = {"vouchers_created": count, "created_vouchers_amount": count * (event.gift_amount or 0)}
    add(rows, project_id, event.campaign_id, event.generated_at, **more)
    definition = event.definition
    row = {
        "campaign_id": event.campaign_id,
        "type": definition.type if definition else None,
        "active": True,
        "created_at": event.generated_at,
        "definition": definition.model_dump(mode="json", exclude_none=True) if definition else None,
        "version": 1 if definition else None,
    }
    for code in event.codes:
        voucher_id = ids.voucher_id(project_id, code)
        # A change of the voucher, in a stream of its own, may have arrived first; it says all.
        if rows.get(VOUCHERS, project_id, voucher_id) is None:
            rows.put(VOUCHERS, (project_id, voucher_id), {**row, "code": code})
    action = rows.get(ACTIONS, project_id, event.action_id) or {"created_at": event.generated_at}
    progress = {"done": event.done, "total": event.total, "updated_at": event.generated_at}
    status = action.get("status") or "IN_PROGRESS"
    rows.put(ACTIONS, (project_id, event.action_id), {**action, **progress, "status": status})


def apply_ended(
    rows: Rows, event: VouchersGenerationCompleted | VouchersGenerationFailed, envelope: Envelope
) -> None:
    project_id = envelope.project_id
    is_done = isinstance(event, VouchersGenerationCompleted)
    at = event.completed_at if isinstance(event, VouchersGenerationCompleted) else event.failed_at
    action = rows.get(ACTIONS, project_id, event.action_id) or {"created_at": at}
    done = event.total if isinstance(event, VouchersGenerationCompleted) else event.done
    status = "DONE" if is_done else "FAILED"
    row = {**action, "status": status, "done": done, "total": event.total, "updated_at": at}
    rows.put(ACTIONS, (project_id, event.action_id), row)
    _generation(rows, project_id, event.campaign_id, status)


def keys_ended(event: Any, envelope: Envelope) -> Iterable[RowKey]:
    yield ACTIONS, (envelope.project_id, event.action_id)
    yield CAMPAIGNS, (envelope.project_id, event.campaign_id)


def _rule_columns(state: ValidationRule) -> Row:
    return {"name": state.name, "created_at": state.created_at}


def _assignment_columns(state: Assignment) -> Row:
    return {
        "rule_id": state.rule_id,
        "related_object_id": state.related_object_id,
        "created_at": state.created_at,
    }


RULE = document(RULES, lambda event: event.rule, _rule_columns)
CAMPAIGN = document(CAMPAIGNS, lambda event: event.campaign, campaign_columns)
VOUCHER = Fold(keys_voucher, apply_voucher)
ENDED = Fold(keys_ended, apply_ended)
FOLDS: dict[type[Event], Fold] = {
    CampaignCreated: CAMPAIGN,
    CampaignUpdated: CAMPAIGN,
    CampaignEnabled: CAMPAIGN,
    CampaignDisabled: CAMPAIGN,
    VoucherCreated: VOUCHER,
    VoucherUpdated: VOUCHER,
    VoucherEnabled: VOUCHER,
    VoucherDisabled: VOUCHER,
    VouchersGenerationStarted: Fold(keys_started, apply_started),
    VouchersGenerated: Fold(keys_generated, apply_generated),
    VouchersGenerationCompleted: ENDED,
    VouchersGenerationFailed: ENDED,
    ValidationRuleCreated: RULE,
    ValidationRuleUpdated: RULE,
    ValidationRuleDeleted: removal(RULES, lambda event: event.rule_id),
    ValidationRuleUnassigned: removal(ASSIGNMENTS, lambda event: event.assignment.id),
    ValidationRuleAssigned: document(
        ASSIGNMENTS, lambda event: event.assignment, _assignment_columns
    ),
}
