"""All operations, one file per resource. Importing this registers them."""

from gateway.operations import (
    async_actions,
    campaigns,
    customers,
    distributions,
    events,
    management,
    orders,
    products,
    publications,
    redemptions,
    segments,
    validation_rules,
    validations,
    vouchers,
    webhook_deliveries,
)

__all__ = [
    "async_actions",
    "campaigns",
    "customers",
    "distributions",
    "events",
    "management",
    "orders",
    "products",
    "publications",
    "redemptions",
    "segments",
    "validation_rules",
    "validations",
    "vouchers",
    "webhook_deliveries",
]
