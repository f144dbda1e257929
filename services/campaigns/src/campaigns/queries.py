"""All SQL of the service."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import NamedTuple

from campaigns import limits
from contracts import ids
from contracts.campaigns import VoucherDefinition
from contracts.errors import JsonObject
from contracts.promotions import PromotionStack, PromotionTier
from runtime.database import Connection


class Code(NamedTuple):
    """A code as it is listed; ``definition`` is that of its generation, if it had one."""

    code: str
    voucher_id: str
    campaign_id: str | None
    definition: VoucherDefinition | None
    created_at: datetime


class Job(NamedTuple):
    """A generation that this transaction has to itself."""

    project_id: str
    action_id: str
    campaign_id: str
    total: int
    done: int
    code_config: JsonObject | None
    definition: VoucherDefinition | None


class Waiting(NamedTuple):
    """A generation that could be continued."""

    project_id: str
    action_id: str
    correlation_id: str


# -- codes --------------------------------------------------------------------------------------


async def insert_codes(
    connection: Connection,
    project_id: str,
    codes: Sequence[str],
    *,
    campaign_id: str | None,
    action_id: str | None,
    now: datetime,
) -> list[str]:
    """List those of the codes that are free; returns them."""
    # In the order of the key: two slices at once then never wait for each other in a circle.
    ordered = sorted((ids.voucher_id(project_id, code), code) for code in codes)
    row = await connection.fetchrow(
        """
        WITH listed AS (
            INSERT INTO codes (project_id, voucher_id, code, campaign_id, action_id, created_at)
            SELECT $1, c.voucher_id, c.code, $4, $5, $6
            FROM unnest($2::text[], $3::text[]) AS c(voucher_id, code)
            ON CONFLICT (project_id, voucher_id) DO NOTHING
            RETURNING code
        )
        SELECT count(*) AS count,
               CASE WHEN count(*) < $7::bigint THEN array_agg(code) END AS codes
        FROM listed
        """,
        project_id,
        [voucher_id for voucher_id, _ in ordered],
        [code for _, code in ordered],
        campaign_id,
        action_id,
        now,
        len(ordered),
    )
    assert row is not None, "an aggregate has one row"
    if row["count"] == len(ordered):
        return list(codes)
    return list(row["codes"] or ())


async def taken_codes(
    connection: Connection, project_id: str, codes: Sequence[str]
) -> frozenset[str]:
    """Return which of the codes are listed."""
    rows = await connection.fetch(
        "SELECT code FROM codes WHERE project_id = $1 AND voucher_id = ANY($2::text[])",
        project_id,
        [ids.voucher_id(project_id, code) for code in codes],
    )
    return frozenset(row["code"] for row in rows)


async def find_code(connection: Connection, project_id: str, code_or_id: str) -> Code | None:
    """Return the code with this text, or else with this voucher id."""
    row = await connection.fetchrow(
        """
        SELECT c.code, c.voucher_id, c.campaign_id, c.created_at, j.definition
        FROM codes c
        LEFT JOIN generation_jobs j ON j.project_id = c.project_id AND j.action_id = c.action_id
        WHERE c.project_id = $1 AND c.voucher_id IN ($2, $3)
        ORDER BY c.voucher_id = $2 DESC
        LIMIT 1
        """,
        project_id,
        ids.voucher_id(project_id, code_or_id),
        code_or_id,
    )
    if row is None:
        return None
    definition = _definition(row["definition"])
    return Code(row["code"], row["voucher_id"], row["campaign_id"], definition, row["created_at"])


def _definition(stored: JsonObject | None) -> VoucherDefinition | None:
    return None if stored is None else VoucherDefinition.model_validate(stored)


# -- campaigns ----------------------------------------------------------------------------------


async def insert_name(connection: Connection, project_id: str, name: str, campaign_id: str) -> bool:
    """Take the name for the campaign; False if it is taken."""
    status = await connection.execute(
        """
        INSERT INTO campaign_names (project_id, name, campaign_id) VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING
        """,
        project_id,
        name,
        campaign_id,
    )
    return status == "INSERT 0 1"


async def campaign_named(connection: Connection, project_id: str, name: str) -> str | None:
    """Return the id of the campaign with this name."""
    found: str | None = await connection.fetchval(
        "SELECT campaign_id FROM campaign_names WHERE project_id = $1 AND name = $2",
        project_id,
        name,
    )
    return found


async def count_codes(
    connection: Connection, project_id: str, campaign_id: str, new: int = 0
) -> int:
    """Add ``new`` codes to the campaign's count; returns the count."""
    if new == 0:
        count = await connection.fetchval(
            "SELECT codes FROM campaign_code_counts WHERE project_id = $1 AND campaign_id = $2",
            project_id,
            campaign_id,
        )
        return int(count or 0)
    count = await connection.fetchval(
        """
        INSERT INTO campaign_code_counts AS c (project_id, campaign_id, codes) VALUES ($1, $2, $3)
        ON CONFLICT (project_id, campaign_id) DO UPDATE SET codes = c.codes + EXCLUDED.codes
        RETURNING codes
        """,
        project_id,
        campaign_id,
        new,
    )
    return int(count)


# -- assignments --------------------------------------------------------------------------------


async def insert_assignment(
    connection: Connection,
    project_id: str,
    target_type: str,
    target_id: str,
    rule_id: str,
    assignment_id: str,
) -> bool:
    """Note the assignment; False if the rule is already assigned to the target, or is deleted."""
    status = await connection.execute(
        """
        WITH noted AS (
            INSERT INTO assigned_rules
                (project_id, related_object_type, related_object_id, rule_id, assignment_id)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
            RETURNING project_id, rule_id
        )
        INSERT INTO rule_uses AS u (project_id, rule_id, uses)
        SELECT project_id, rule_id, 1 FROM noted
        ON CONFLICT (project_id, rule_id) DO UPDATE SET uses = u.uses + 1 WHERE NOT u.is_deleted
        """,
        project_id,
        target_type,
        target_id,
        rule_id,
        assignment_id,
    )
    return status == "INSERT 0 1"


async def delete_assignment(connection: Connection, project_id: str, assignment_id: str) -> None:
    """Forget an assignment."""
    await connection.execute(
        """
        WITH gone AS (
            DELETE FROM assigned_rules WHERE project_id = $1 AND assignment_id = $2
            RETURNING project_id, rule_id
        )
        UPDATE rule_uses u SET uses = u.uses - 1
        FROM gone g WHERE u.project_id = g.project_id AND u.rule_id = g.rule_id
        """,
        project_id,
        assignment_id,
    )


async def rule_uses(connection: Connection, project_id: str, rule_id: str) -> tuple[int, list[str]]:
    """Return how many assignments the rule has, and the ids of the first few."""
    rows = await connection.fetch(
        """
        SELECT assignment_id, count(*) OVER () AS total FROM assigned_rules
        WHERE project_id = $1 AND rule_id = $2 ORDER BY assignment_id LIMIT $3
        """,
        project_id,
        rule_id,
        limits.USES_SHOWN_MAX,
    )
    return (rows[0]["total"] if rows else 0), [row["assignment_id"] for row in rows]


async def mark_rule_deleted(connection: Connection, project_id: str, rule_id: str) -> bool:
    """Make sure that the rule is never assigned again; False while it is assigned."""
    status = await connection.execute(
        """
        INSERT INTO rule_uses AS u (project_id, rule_id, uses, is_deleted) VALUES ($1, $2, 0, true)
        ON CONFLICT (project_id, rule_id) DO UPDATE SET is_deleted = true WHERE u.uses = 0
        """,
        project_id,
        rule_id,
    )
    return status == "INSERT 0 1"


async def assignments_to(
    connection: Connection, project_id: str, target_id: str
) -> list[tuple[str, str]]:
    """Return (assignment, rule) of what is assigned to the target."""
    rows = await connection.fetch(
        """
        SELECT assignment_id, rule_id FROM assigned_rules
        WHERE project_id = $1 AND related_object_id = $2 ORDER BY assignment_id
        """,
        project_id,
        target_id,
    )
    return [(row["assignment_id"], row["rule_id"]) for row in rows]


async def rules_of(connection: Connection, project_id: str, target_id: str) -> frozenset[str]:
    """Return the ids of the rules that are assigned to the target."""
    rows = await connection.fetch(
        "SELECT rule_id FROM assigned_rules WHERE project_id = $1 AND related_object_id = $2",
        project_id,
        target_id,
    )
    return frozenset(row["rule_id"] for row in rows)


# -- promotions and categories ------------------------------------------------------------------


async def tier_count(connection: Connection, project_id: str, campaign_id: str) -> tuple[int, int]:
    """Return how many tiers the campaign has, and the highest hierarchy among them."""
    row = await connection.fetchrow(
        """
        SELECT count(*) AS count, coalesce(max(hierarchy), 0) AS last FROM promotion_tiers
        WHERE project_id = $1 AND campaign_id = $2
        """,
        project_id,
        campaign_id,
    )
    assert row is not None, "an aggregate has one row"
    return row["count"], row["last"]


async def keep_tier(connection: Connection, project_id: str, tier: PromotionTier) -> None:
    """Note the tier and its hierarchy."""
    await connection.execute(
        """
        INSERT INTO promotion_tiers (project_id, campaign_id, tier_id, hierarchy)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (project_id, campaign_id, tier_id) DO UPDATE SET hierarchy = EXCLUDED.hierarchy
        """,
        project_id,
        tier.campaign_id,
        tier.id,
        tier.hierarchy,
    )


async def forget_tier(connection: Connection, project_id: str, tier: PromotionTier) -> None:
    """Forget a tier that is deleted."""
    await connection.execute(
        """
        DELETE FROM promotion_tiers
        WHERE project_id = $1 AND campaign_id = $2 AND tier_id = $3
        """,
        project_id,
        tier.campaign_id,
        tier.id,
    )


async def lock_tiers(
    connection: Connection, project_id: str, campaign_id: str, tier_ids: Sequence[str]
) -> frozenset[str]:
    """Return which of the tiers the campaign has; they cannot be deleted meanwhile."""
    if not tier_ids:
        return frozenset()
    rows = await connection.fetch(
        """
        SELECT tier_id FROM promotion_tiers
        WHERE project_id = $1 AND campaign_id = $2 AND tier_id = ANY($3::text[])
        ORDER BY tier_id FOR SHARE
        """,
        project_id,
        campaign_id,
        list(tier_ids),
    )
    return frozenset(row["tier_id"] for row in rows)


async def stacks_of(connection: Connection, project_id: str, tier_id: str) -> list[str]:
    """Return the ids of the stacks that name the tier."""
    rows = await connection.fetch(
        """
        SELECT stack_id FROM stacked_tiers WHERE project_id = $1 AND tier_id = $2
        ORDER BY stack_id LIMIT 10
        """,
        project_id,
        tier_id,
    )
    return [row["stack_id"] for row in rows]


async def keep_stack(connection: Connection, project_id: str, stack: PromotionStack) -> None:
    """Note which tiers the stack names, and no others."""
    await forget_stack(connection, project_id, stack.id)
    await connection.execute(
        """
        INSERT INTO stacked_tiers (project_id, tier_id, stack_id)
        SELECT $1, t.tier_id, $3 FROM unnest($2::text[]) AS t(tier_id)
        """,
        project_id,
        stack.tier_ids,
        stack.id,
    )


async def forget_stack(connection: Connection, project_id: str, stack_id: str) -> None:
    """Forget which tiers the stack named."""
    await connection.execute(
        "DELETE FROM stacked_tiers WHERE project_id = $1 AND stack_id = $2", project_id, stack_id
    )


async def category_count(connection: Connection, project_id: str) -> int:
    """Return how many categories the project has."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM category_names WHERE project_id = $1", project_id
    )
    return count


async def take_category_name(
    connection: Connection, project_id: str, name: str, category_id: str
) -> bool:
    """Take the name for the category; False if it is taken."""
    status = await connection.execute(
        """
        INSERT INTO category_names (project_id, name, category_id) VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING
        """,
        project_id,
        name,
        category_id,
    )
    return status == "INSERT 0 1"


async def free_category_name(connection: Connection, project_id: str, name: str) -> None:
    """Free the name of a category that is renamed or deleted."""
    await connection.execute(
        "DELETE FROM category_names WHERE project_id = $1 AND name = $2", project_id, name
    )


async def category_named(connection: Connection, project_id: str, name: str) -> str | None:
    """Return the id of the category with this name."""
    found: str | None = await connection.fetchval(
        "SELECT category_id FROM category_names WHERE project_id = $1 AND name = $2",
        project_id,
        name,
    )
    return found


# -- generation ---------------------------------------------------------------------------------


async def insert_job(connection: Connection, job: Job, correlation_id: str, now: datetime) -> None:
    """Queue a generation."""
    definition = None if job.definition is None else job.definition.model_dump(mode="json")
    await connection.execute(
        """
        WITH turn AS (
            INSERT INTO generation_turns (project_id) VALUES ($1) ON CONFLICT DO NOTHING
        )
        INSERT INTO generation_jobs (project_id, action_id, campaign_id, total, status, code_config,
                                     definition, correlation_id, created_at)
        VALUES ($1, $2, $3, $4, 'running', $5, $6, $7, $8)
        """,
        job.project_id,
        job.action_id,
        job.campaign_id,
        job.total,
        job.code_config,
        definition,
        correlation_id,
        now,
    )


async def waiting_jobs(connection: Connection) -> list[Waiting]:
    """Return generations to continue; first those of the project that waited longest."""
    rows = await connection.fetch(
        """
        SELECT j.project_id, j.action_id, j.correlation_id
        FROM generation_jobs j JOIN generation_turns t USING (project_id)
        WHERE j.status = 'running'
        ORDER BY t.turn, j.turn, j.created_at, j.action_id
        LIMIT $1
        """,
        limits.GENERATION_CANDIDATES_MAX,
    )
    return [Waiting(*row) for row in rows]


async def claim_job(connection: Connection, waiting: Waiting) -> Job | None:
    """Lock the generation until the transaction ends; None if another worker has it."""
    row = await connection.fetchrow(
        """
        SELECT project_id, action_id, campaign_id, total, done, code_config, definition
        FROM generation_jobs
        WHERE project_id = $1 AND action_id = $2 AND status = 'running'
        FOR UPDATE SKIP LOCKED
        """,
        waiting.project_id,
        waiting.action_id,
    )
    if row is None:
        return None
    return Job(*row)._replace(definition=_definition(row["definition"]))


async def end_slice(connection: Connection, job: Job, new: int) -> None:
    """Note the slice; its project and its job go to the end of the queue."""
    await connection.execute(
        """
        WITH next AS MATERIALIZED (SELECT nextval('generation_turn_numbers') AS turn),
        project AS (
            UPDATE generation_turns SET turn = next.turn FROM next WHERE project_id = $1
        )
        UPDATE generation_jobs j
        SET done = done + $3::bigint,
            turn = next.turn,
            status = CASE WHEN $3::bigint = 0 THEN 'failed'
                          WHEN done + $3::bigint = total THEN 'done'
                          ELSE 'running' END
        FROM next
        WHERE j.project_id = $1 AND j.action_id = $2
        """,
        job.project_id,
        job.action_id,
        new,
    )


# -- audit --------------------------------------------------------------------------------------


async def code_differences(connection: Connection) -> list[tuple[str, str, str]]:
    """Return (project, code, what) for codes that the log and the list do not both have, alike."""
    rows = await connection.fetch(
        """
        WITH slices AS MATERIALIZED (
            -- Apart, because a slice's long text would be read again for each of its codes.
            SELECT project_id, data->>'campaign_id' AS campaign_id, data->>'action_id' AS action_id,
                   data->'codes' AS codes
            FROM events WHERE type = 'campaigns.vouchers-generated.v1'
        ), logged AS (
            SELECT s.project_id, c.code, s.campaign_id, s.action_id
            FROM slices s, json_array_elements_text(s.codes) AS c(code)
            UNION ALL
            SELECT project_id, data->'voucher'->>'code', data->'voucher'->>'campaign_id', NULL
            FROM events WHERE type = 'campaigns.voucher-created.v1'
        )
        SELECT project_id, code, 'is in the log and not in the list, or otherwise' AS what FROM (
            SELECT project_id, code, campaign_id, action_id FROM logged
            EXCEPT ALL
            SELECT project_id, code, campaign_id, action_id FROM codes) AS missing
        UNION ALL
        SELECT project_id, code, 'is in the list and not in the log, or otherwise' FROM (
            SELECT project_id, code, campaign_id, action_id FROM codes
            EXCEPT ALL
            SELECT project_id, code, campaign_id, action_id FROM logged) AS surplus
        ORDER BY 1, 2, 3
        LIMIT $1
        """,
        limits.AUDIT_FINDINGS_MAX,
    )
    return [tuple(row) for row in rows]


async def listed_codes(connection: Connection) -> AsyncIterator[tuple[str, str, str]]:
    """Return (project, code, voucher id) of every code; needs a transaction."""
    rows = connection.cursor("SELECT project_id, code, voucher_id FROM codes", prefetch=10_000)
    async for row in rows:
        yield row["project_id"], row["code"], row["voucher_id"]


async def count_differences(connection: Connection) -> list[tuple[str, str, int, int]]:
    """Return (project, campaign, count, codes listed) of campaigns whose count is wrong."""
    rows = await connection.fetch(
        """
        SELECT coalesce(c.project_id, l.project_id), coalesce(c.campaign_id, l.campaign_id),
               coalesce(c.codes, 0), coalesce(l.codes, 0)
        FROM campaign_code_counts c
        FULL JOIN (
            SELECT project_id, campaign_id, count(*) AS codes FROM codes
            WHERE campaign_id IS NOT NULL GROUP BY project_id, campaign_id
        ) l ON l.project_id = c.project_id AND l.campaign_id = c.campaign_id
        WHERE c.codes IS DISTINCT FROM l.codes
        ORDER BY 1, 2
        LIMIT $1
        """,
        limits.AUDIT_FINDINGS_MAX,
    )
    return [tuple(row) for row in rows]


async def job_differences(connection: Connection) -> list[tuple[str, str, str]]:
    """Return (project, action, what) of generations that are not what the log says."""
    rows = await connection.fetch(
        """
        WITH logged AS (
            SELECT project_id, data->>'action_id' AS action_id,
                   max((data->>'total')::bigint) AS total,
                   coalesce(sum(json_array_length(data->'codes')), 0) AS done,
                   coalesce(max((data->>'done')::bigint), 0) AS last_done,
                   CASE WHEN bool_or(type = 'campaigns.vouchers-generation-failed.v1') THEN 'failed'
                        WHEN bool_or(type = 'campaigns.vouchers-generation-completed.v1') THEN 'done'
                        ELSE 'running' END AS status
            FROM events
            WHERE type IN ('campaigns.vouchers-generation-started.v1',
                           'campaigns.vouchers-generated.v1',
                           'campaigns.vouchers-generation-completed.v1',
                           'campaigns.vouchers-generation-failed.v1')
            GROUP BY project_id, data->>'action_id'
        )
        SELECT coalesce(j.project_id, l.project_id), coalesce(j.action_id, l.action_id),
               concat_ws(' ', j.status, j.done, 'of', j.total, 'but the log says', l.status, l.done,
                         'of', l.total)
        FROM generation_jobs j FULL JOIN logged l
          ON l.project_id = j.project_id AND l.action_id = j.action_id
        WHERE (j.total, j.done, j.status) IS DISTINCT FROM (l.total, l.done, l.status)
           OR l.last_done <> l.done OR (l.status = 'done' AND l.done <> l.total)
        ORDER BY 1, 2
        LIMIT $1
        """,
        limits.AUDIT_FINDINGS_MAX,
    )
    return [tuple(row) for row in rows]


async def name_differences(connection: Connection) -> list[tuple[str, str]]:
    """Return (project, name) of campaign names that are noted and not in the log, or the reverse."""
    rows = await connection.fetch(
        """
        WITH logged AS (
            SELECT project_id, data->'campaign'->>'name' AS name,
                   data->'campaign'->>'id' AS campaign_id
            FROM events WHERE type = 'campaigns.campaign-created.v1'
        )
        SELECT coalesce(n.project_id, l.project_id), coalesce(n.name, l.name)
        FROM campaign_names n FULL JOIN logged l
          ON l.project_id = n.project_id AND l.name = n.name AND l.campaign_id = n.campaign_id
        WHERE n.name IS NULL OR l.name IS NULL
        ORDER BY 1, 2
        LIMIT $1
        """,
        limits.AUDIT_FINDINGS_MAX,
    )
    return [tuple(row) for row in rows]


async def assignment_differences(connection: Connection) -> list[tuple[str, str]]:
    """Return (project, assignment) of assignments that are noted and not logged, or the reverse."""
    rows = await connection.fetch(
        """
        WITH logged AS (
            SELECT project_id, data->'assignment'->>'id' AS assignment_id,
                   data->'assignment'->>'rule_id' AS rule_id,
                   data->'assignment'->>'related_object_id' AS related_object_id
            FROM events WHERE type = 'campaigns.validation-rule-assigned.v1'
            EXCEPT
            SELECT project_id, data->'assignment'->>'id', data->'assignment'->>'rule_id',
                   data->'assignment'->>'related_object_id'
            FROM events WHERE type = 'campaigns.validation-rule-unassigned.v1'
        )
        SELECT coalesce(a.project_id, l.project_id), coalesce(a.assignment_id, l.assignment_id)
        FROM assigned_rules a FULL JOIN logged l
          ON l.project_id = a.project_id AND l.assignment_id = a.assignment_id
         AND l.rule_id = a.rule_id AND l.related_object_id = a.related_object_id
        WHERE a.assignment_id IS NULL OR l.assignment_id IS NULL
        ORDER BY 1, 2
        LIMIT $1
        """,
        limits.AUDIT_FINDINGS_MAX,
    )
    return [tuple(row) for row in rows]


async def rule_use_differences(connection: Connection) -> list[tuple[str, str]]:
    """Return (project, rule) of rules that are not counted as often as they are assigned."""
    rows = await connection.fetch(
        """
        WITH assigned AS (
            SELECT project_id, rule_id, count(*) AS uses FROM assigned_rules
            GROUP BY project_id, rule_id
        )
        SELECT coalesce(u.project_id, a.project_id), coalesce(u.rule_id, a.rule_id)
        FROM rule_uses u FULL JOIN assigned a
          ON a.project_id = u.project_id AND a.rule_id = u.rule_id
        WHERE coalesce(u.uses, 0) <> coalesce(a.uses, 0)
        ORDER BY 1, 2
        LIMIT $1
        """,
        limits.AUDIT_FINDINGS_MAX,
    )
    return [tuple(row) for row in rows]


async def promotion_differences(connection: Connection) -> list[tuple[str, str, str]]:
    """Return (project, what, id) of tiers, stacks and category names noted otherwise than they are.

    Compared with the states of the streams, which the common audit compares with the log.
    """
    rows = await connection.fetch(
        """
        WITH noted AS (
            SELECT project_id, 'tier' AS what, tier_id AS id,
                   campaign_id || '/' || hierarchy AS value FROM promotion_tiers
            UNION ALL
            SELECT project_id, 'stack', stack_id, tier_id FROM stacked_tiers
            UNION ALL
            SELECT project_id, 'category', category_id, name FROM category_names
        ), stated AS (
            SELECT project_id, 'tier' AS what, state->'tier'->>'id' AS id,
                   (state->'tier'->>'campaign_id') || '/' || (state->'tier'->>'hierarchy') AS value
            FROM aggregates WHERE stream_id LIKE 'promotion-tier-%' AND state->>'is_deleted' = 'false'
            UNION ALL
            SELECT project_id, 'stack', state->'stack'->>'id', t.tier_id
            FROM aggregates, jsonb_array_elements_text(state->'stack'->'tier_ids') AS t(tier_id)
            WHERE stream_id LIKE 'promotion-stack-%' AND state->>'is_deleted' = 'false'
            UNION ALL
            SELECT project_id, 'category', state->'category'->>'id', state->'category'->>'name'
            FROM aggregates WHERE stream_id LIKE 'category-%' AND state->>'is_deleted' = 'false'
        )
        SELECT coalesce(n.project_id, s.project_id), coalesce(n.what, s.what), coalesce(n.id, s.id)
        FROM noted n FULL JOIN stated s
          ON s.project_id = n.project_id AND s.what = n.what AND s.id = n.id AND s.value = n.value
        WHERE n.id IS NULL OR s.id IS NULL
        ORDER BY 1, 2, 3
        LIMIT $1
        """,
        limits.AUDIT_FINDINGS_MAX,
    )
    return [tuple(row) for row in rows]
