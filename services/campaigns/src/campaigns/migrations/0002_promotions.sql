-- Folds of the log, written in the transaction that appends: what is unique, and what names what.
CREATE TABLE category_names (
    project_id   text NOT NULL,
    name         text NOT NULL,
    category_id  text NOT NULL,
    PRIMARY KEY (project_id, name)
);

CREATE TABLE promotion_tiers (
    project_id   text   NOT NULL,
    campaign_id  text   NOT NULL,
    tier_id      text   NOT NULL,
    hierarchy    bigint NOT NULL,
    PRIMARY KEY (project_id, campaign_id, tier_id)
);

CREATE TABLE stacked_tiers (
    project_id  text NOT NULL,
    tier_id     text NOT NULL,
    stack_id    text NOT NULL,
    PRIMARY KEY (project_id, tier_id, stack_id)
);
