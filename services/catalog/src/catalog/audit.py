"""What must hold in the catalog besides "every state is the fold of its stream" (runtime's audit)."""

from catalog.queries import skus_without_product
from runtime.database import Connection


async def audit(connection: Connection) -> list[str]:
    """Return what is wrong: SKUs whose product does not exist."""
    return [
        f"project {project_id}: {stream} belongs to {product_id}, which does not exist"
        for project_id, stream, product_id in await skus_without_product(connection)
    ]
