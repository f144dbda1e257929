"""What happened in a campaign, summed up for each quarter of an hour: the figures of its summary.

Quarters, because a day begins on one in every time zone: the days of any project are sums of whole rows.
Fed from several topics, each adding to columns of its own, so that their order does not matter.
"""

from datetime import datetime, timedelta

from runtime.read_model import RowKey, Rows, Table

QUARTERS = Table(
    "campaign_quarters",
    {"project_id": "text", "campaign_id": "text", "quarter": "timestamptz"},
    dict.fromkeys(
        (
            # The ledger's.
            "redemptions_succeeded",
            "redemptions_failed",
            "rollbacks_succeeded",
            "rollbacks_failed",
            "discounted_amount",
            "rolledback_discounted_amount",
            "amount_redeemed",
            "amount_rolledback",
            "amount_added",
            "amount_subtracted",
            "orders_amount",
            "orders_rolledback_amount",
            # Those of campaigns.
            "vouchers_created",
            "created_vouchers_amount",
            # Those of distribution.
            "publications_succeeded",
            "publications_failed",
        ),
        "bigint",
    ),
)
TABLES = [QUARTERS]
QUARTER = timedelta(minutes=15)


def quarter(project_id: str, campaign_id: str, at: datetime) -> RowKey:
    """Return the row of the quarter in which something happened."""
    begin = at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
    return QUARTERS, (project_id, campaign_id, begin)


def add(rows: Rows, project_id: str, campaign_id: str, at: datetime, **more: int) -> None:
    """Add to the quarter's figures."""
    table, key = quarter(project_id, campaign_id, at)
    row = rows.get(table, *key) or dict.fromkeys(table.columns, 0)
    rows.put(table, key, {**row, **{name: row[name] + amount for name, amount in more.items()}})
