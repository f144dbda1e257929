"""What is read besides aggregates by id."""

from catalog import limits
from runtime.database import Connection


async def skus_without_product(connection: Connection) -> list[tuple[str, str, str]]:
    """Return (project, stream, product id) of SKUs whose product has no stream."""
    rows = await connection.fetch(
        """
        SELECT s.project_id, s.stream_id, s.state->>'product_id' AS product_id
        FROM aggregates s
        LEFT JOIN aggregates p
          ON p.project_id = s.project_id AND p.stream_id = 'product-' || (s.state->>'product_id')
        WHERE s.stream_id LIKE 'sku-%' AND p.stream_id IS NULL
        ORDER BY s.project_id, s.stream_id
        LIMIT $1
        """,
        limits.AUDIT_FINDINGS_MAX,
    )
    return [(row["project_id"], row["stream_id"], row["product_id"]) for row in rows]
