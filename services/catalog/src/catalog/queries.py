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
         AND NOT coalesce((p.state->>'is_deleted')::boolean, false)
        WHERE s.stream_id LIKE 'sku-%' AND p.stream_id IS NULL
          AND NOT coalesce((s.state->>'is_deleted')::boolean, false)
        ORDER BY s.project_id, s.stream_id
        LIMIT $1
        """,
        limits.AUDIT_FINDINGS_MAX,
    )
    return [(row["project_id"], row["stream_id"], row["product_id"]) for row in rows]


async def insert_sku(connection: Connection, project_id: str, product_id: str, sku_id: str) -> None:
    """Note a SKU of a product."""
    await connection.execute(
        """
        INSERT INTO product_skus (project_id, product_id, sku_id) VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING
        """,
        project_id,
        product_id,
        sku_id,
    )


async def delete_sku(connection: Connection, project_id: str, sku_id: str) -> None:
    """Forget a SKU."""
    await connection.execute(
        "DELETE FROM product_skus WHERE project_id = $1 AND sku_id = $2", project_id, sku_id
    )


async def skus_of(connection: Connection, project_id: str, product_id: str) -> list[str]:
    """Return the ids of a product's SKUs."""
    rows = await connection.fetch(
        """
        SELECT sku_id FROM product_skus WHERE project_id = $1 AND product_id = $2 ORDER BY sku_id
        """,
        project_id,
        product_id,
    )
    return [row["sku_id"] for row in rows]


async def count_collection(connection: Connection, project_id: str) -> int:
    """Count one more collection of a project; returns how many there are now."""
    count: int = await connection.fetchval(
        """
        INSERT INTO collection_counts AS c (project_id, collections) VALUES ($1, 1)
        ON CONFLICT (project_id) DO UPDATE SET collections = c.collections + 1
        RETURNING collections
        """,
        project_id,
    )
    return count


async def uncount_collection(connection: Connection, project_id: str) -> None:
    """Count one collection less."""
    await connection.execute(
        "UPDATE collection_counts SET collections = collections - 1 WHERE project_id = $1",
        project_id,
    )


async def sku_differences(connection: Connection) -> list[tuple[str, str]]:
    """Return (project, SKU) of SKUs that are noted and not in the log, or the reverse."""
    rows = await connection.fetch(
        """
        WITH logged AS (
            SELECT project_id, state->>'id' AS sku_id, state->>'product_id' AS product_id
            FROM aggregates
            WHERE stream_id LIKE 'sku-%' AND NOT coalesce((state->>'is_deleted')::boolean, false)
        )
        SELECT coalesce(s.project_id, l.project_id), coalesce(s.sku_id, l.sku_id)
        FROM product_skus s FULL JOIN logged l
          ON l.project_id = s.project_id AND l.sku_id = s.sku_id
        WHERE s.product_id IS DISTINCT FROM l.product_id
        ORDER BY 1, 2
        LIMIT $1
        """,
        limits.AUDIT_FINDINGS_MAX,
    )
    return [tuple(row) for row in rows]


async def collection_count_differences(connection: Connection) -> list[tuple[str, int, int]]:
    """Return (project, counted, logged) where collections are counted wrongly."""
    rows = await connection.fetch(
        """
        WITH logged AS (
            SELECT project_id, count(*) AS collections FROM aggregates
            WHERE stream_id LIKE 'collection-%'
              AND NOT coalesce((state->>'is_deleted')::boolean, false)
            GROUP BY project_id
        )
        SELECT coalesce(c.project_id, l.project_id), coalesce(c.collections, 0),
               coalesce(l.collections, 0)
        FROM collection_counts c FULL JOIN logged l USING (project_id)
        WHERE coalesce(c.collections, 0) <> coalesce(l.collections, 0)
        ORDER BY 1
        LIMIT $1
        """,
        limits.AUDIT_FINDINGS_MAX,
    )
    return [tuple(row) for row in rows]
