-- What is offered without having been named: when a project's definitions changed last, its codes that
-- belong to no campaign, and what a customer holds.
CREATE TABLE definition_changes (
    project_id text PRIMARY KEY,
    position bigint
);
CREATE INDEX vouchers_standalone ON vouchers (project_id, created_at DESC) WHERE campaign_id IS NULL;
CREATE INDEX holders_by_customer ON holders (project_id, customer_id);
ALTER TABLE stacks ADD COLUMN created_at timestamptz;
