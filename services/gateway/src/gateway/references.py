"""Who names what: a product or collection that rules or collections name is not deleted.

Read from the read models, so two requests at the same moment may still pass each other; a rule then names
something that is gone, which is in no order.
"""

from contracts.errors import ResourceInUse
from gateway import queries
from runtime.database import Connection


async def refuse_if_used(
    connection: Connection, project_id: str, resource_type: str, resource_id: str
) -> None:
    """Raise ``ResourceInUse`` when a validation rule or a product collection names the resource."""
    rules = await queries.documents_naming(connection, "validation_rules", project_id, resource_id)
    if rules:
        raise ResourceInUse.of(resource_type, resource_id, "validation_rules", rules)
    if resource_type == "products_collection":
        return
    collections = await queries.documents_naming(
        connection, "product_collections", project_id, resource_id
    )
    if collections:
        raise ResourceInUse.of(resource_type, resource_id, "products_collection", collections)
