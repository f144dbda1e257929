CREATE TABLE categories (
    project_id text NOT NULL,
    id         text NOT NULL,
    name       text,
    hierarchy  bigint,
    created_at timestamptz,
    updated_at timestamptz,
    doc        jsonb,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX categories_created ON categories (project_id, created_at, id);

CREATE TABLE promotion_tiers (
    project_id  text NOT NULL,
    id          text NOT NULL,
    campaign_id text,
    name        text,
    hierarchy   bigint,
    active      boolean,
    created_at  timestamptz,
    updated_at  timestamptz,
    doc         jsonb,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX promotion_tiers_campaign ON promotion_tiers (project_id, campaign_id, hierarchy, id);
CREATE INDEX promotion_tiers_created ON promotion_tiers (project_id, created_at, id);

CREATE TABLE promotion_stacks (
    project_id  text NOT NULL,
    id          text NOT NULL,
    campaign_id text,
    name        text,
    created_at  timestamptz,
    updated_at  timestamptz,
    doc         jsonb,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX promotion_stacks_campaign ON promotion_stacks (project_id, campaign_id, created_at, id);
CREATE INDEX promotion_stacks_created ON promotion_stacks (project_id, created_at, id);

-- What redemptions of a tier came to, those that were given back taken off.
CREATE TABLE tier_totals (
    project_id      text   NOT NULL,
    tier_id         text   NOT NULL,
    redeemed        bigint NOT NULL,
    orders_amount   bigint NOT NULL,
    discount_amount bigint NOT NULL,
    PRIMARY KEY (project_id, tier_id)
);
