-- The replica: what the engine must know of other services' facts, and nothing more.

CREATE TABLE projects (
    project_id text PRIMARY KEY,
    timezone text,
    case_sensitive_codes boolean,
    stacking_rules jsonb
);

CREATE TABLE campaigns (
    project_id text NOT NULL,
    id text NOT NULL,
    version bigint,
    doc jsonb,
    PRIMARY KEY (project_id, id)
);

-- A code that inherits its campaign's template has no document of its own.
CREATE TABLE vouchers (
    project_id text NOT NULL,
    id text NOT NULL,
    code text,
    campaign_id text,
    active boolean,
    version bigint,
    definition jsonb,
    created_at timestamptz,
    updated_at timestamptz,
    PRIMARY KEY (project_id, id)
);

CREATE TABLE rules (
    project_id text NOT NULL,
    id text NOT NULL,
    version bigint,
    doc jsonb,
    PRIMARY KEY (project_id, id)
);

CREATE TABLE assignments (
    project_id text NOT NULL,
    related_object_id text NOT NULL,
    id text NOT NULL,
    rule_id text,
    PRIMARY KEY (project_id, related_object_id, id)
);

CREATE TABLE customers (
    project_id text NOT NULL,
    id text NOT NULL,
    tracking_id text,
    doc jsonb,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX customers_by_tracking_id ON customers (project_id, tracking_id);

CREATE TABLE segments (
    project_id text NOT NULL,
    id text NOT NULL,
    version bigint,
    doc jsonb,
    PRIMARY KEY (project_id, id)
);

-- Products and SKUs; ids tell them apart.
CREATE TABLE catalogue (
    project_id text NOT NULL,
    id text NOT NULL,
    doc jsonb,
    PRIMARY KEY (project_id, id)
);

-- Each topic's facts in columns of their own: ``sent`` from customers, ``redeemed`` from the ledger.
CREATE TABLE orders (
    project_id text NOT NULL,
    id text NOT NULL,
    sent jsonb,
    redeemed jsonb,
    redeemed_position bigint,
    PRIMARY KEY (project_id, id)
);

-- Events of one account may come from several partitions; the newest position wins.
CREATE TABLE accounts (
    project_id text NOT NULL,
    account text NOT NULL,
    used bigint,
    used_position bigint,
    adjusted bigint,
    adjusted_position bigint,
    PRIMARY KEY (project_id, account)
) WITH (fillfactor = 70);
