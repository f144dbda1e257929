"""The topics of Kafka, and who owns them."""

SERVICES = (
    "gateway",
    "catalog",
    "customers",
    "campaigns",
    "engine",
    "ledger",
    "distribution",
    "webhooks",
)

ENGINE_REQUESTS = "engine.requests"
GATEWAY_REPLIES = "gateway.replies"

INTAKE_ORDERS = "intake.orders"
INTAKE_CUSTOM_EVENTS = "intake.custom-events"
INTAKE_CUSTOMERS = "intake.customers"
INTAKE_PRODUCTS = "intake.products"
INTAKE_REJECTED = "intake.rejected"


def commands(service: str) -> str:
    """Return the topic on which ``service`` takes commands."""
    return f"{service}.commands"


def events(service: str) -> str:
    """Return the topic on which ``service`` publishes its log."""
    return f"{service}.events"


def dead_letters(service: str) -> str:
    """Return the topic that tells of what ``service`` could not handle."""
    return f"{service}.dead-letters"


ALL = (
    *(commands(service) for service in SERVICES if service not in {"engine", "gateway"}),
    *(events(service) for service in SERVICES if service != "engine"),
    *(dead_letters(service) for service in SERVICES),
    ENGINE_REQUESTS,
    GATEWAY_REPLIES,
    INTAKE_ORDERS,
    INTAKE_CUSTOM_EVENTS,
    INTAKE_CUSTOMERS,
    INTAKE_PRODUCTS,
    INTAKE_REJECTED,
)
