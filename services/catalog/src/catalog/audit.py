"""What must hold in the catalog besides "every state is the fold of its stream" (runtime's audit)."""

from catalog import queries
from runtime import bulk
from runtime.database import Connection


async def audit(connection: Connection) -> list[str]:
    """Return what is wrong: SKUs without their product, lists and counts that differ from the log."""
    findings = [
        f"project {project_id}: {stream} belongs to {product_id}, which does not exist"
        for project_id, stream, product_id in await queries.skus_without_product(connection)
    ]
    findings += [
        f"project {project_id}: {sku_id} is not noted as it was logged"
        for project_id, sku_id in await queries.sku_differences(connection)
    ]
    findings += [
        f"project {project_id}: {counted} collections are counted, {logged} are logged"
        for project_id, counted, logged in await queries.collection_count_differences(connection)
    ]
    return findings + await bulk.audit(connection, "catalog")
