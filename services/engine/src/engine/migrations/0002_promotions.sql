CREATE TABLE tiers (
    project_id text NOT NULL,
    id text NOT NULL,
    campaign_id text,
    version bigint,
    doc jsonb,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX tiers_by_campaign ON tiers (project_id, campaign_id);

CREATE TABLE stacks (
    project_id text NOT NULL,
    id text NOT NULL,
    campaign_id text,
    name text,
    tier_ids jsonb,
    category_id text,
    PRIMARY KEY (project_id, id)
);

CREATE TABLE categories (
    project_id text NOT NULL,
    id text NOT NULL,
    doc jsonb,
    PRIMARY KEY (project_id, id)
);
