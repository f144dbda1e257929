"""The read models of the API, one file per owner of the events they are folded from."""

from contracts import topics
from gateway.read_models import (
    bulk,
    campaign_quarters,
    campaigns,
    catalog,
    customers,
    distribution,
    ledger,
    orders,
    own,
    promotions,
    webhooks,
)
from runtime.read_model import Projection

PROJECTION = Projection(
    [
        *own.TABLES,
        *campaign_quarters.TABLES,
        *campaigns.TABLES,
        *promotions.TABLES,
        *catalog.TABLES,
        *customers.TABLES,
        *orders.TABLES,
        *ledger.TABLES,
        *distribution.TABLES,
        *webhooks.TABLES,
    ],
    {
        **own.FOLDS,
        **campaigns.FOLDS,
        **promotions.FOLDS,
        **bulk.FOLDS,
        **catalog.FOLDS,
        **customers.FOLDS,
        **orders.FOLDS,
        **ledger.FOLDS,
        **distribution.FOLDS,
        **webhooks.FOLDS,
    },
    ignored=[
        *own.IGNORED,
        *customers.IGNORED,
        *ledger.IGNORED,
        *distribution.IGNORED,
        *webhooks.IGNORED,
    ],
)
TOPICS = [topics.events(service) for service in topics.SERVICES if service != "engine"]
