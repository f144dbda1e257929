"""What must hold besides "every state is the fold of its stream" (runtime's audit)."""

from campaigns import queries
from contracts import ids
from runtime import bulk
from runtime.database import Connection


async def audit(connection: Connection) -> list[str]:
    """Return what is wrong: lists, counts and jobs that differ from the log."""
    findings = [
        f"project {project_id}: code {code} {what}"
        for project_id, code, what in await queries.code_differences(connection)
    ]
    findings += [
        f"project {project_id}: campaign {campaign_id} counts {count} codes, {listed} are listed"
        for project_id, campaign_id, count, listed in await queries.count_differences(connection)
    ]
    findings += [
        f"project {project_id}: generation {action_id} is {what}"
        for project_id, action_id, what in await queries.job_differences(connection)
    ]
    findings += [
        f"project {project_id}: the campaign name {name!r} is not noted as it was logged"
        for project_id, name in await queries.name_differences(connection)
    ]
    findings += [
        f"project {project_id}: the assignment {assignment_id} is not noted as it was logged"
        for project_id, assignment_id in await queries.assignment_differences(connection)
    ]
    findings += [
        f"project {project_id}: {what} {one} is not noted as its stream says"
        for project_id, what, one in await queries.promotion_differences(connection)
    ]
    findings += [
        f"project {project_id}: the rule {rule_id} is not counted as often as it is assigned"
        for project_id, rule_id in await queries.rule_use_differences(connection)
    ]
    async with connection.transaction():
        findings += [
            f"project {project_id}: code {code} is listed under {voucher_id}"
            async for project_id, code, voucher_id in queries.listed_codes(connection)
            if voucher_id != ids.voucher_id(project_id, code)
        ]
    return findings + await bulk.audit(connection, "campaigns")
