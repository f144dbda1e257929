-- Read models: each row a pure fold of events (gateway/read_models/), dropped and rebuilt at will.
CREATE TABLE projects (
    project_id text NOT NULL PRIMARY KEY,
    created_at timestamptz NOT NULL,
    doc        jsonb NOT NULL
);

CREATE TABLE campaigns (
    project_id    text NOT NULL,
    id            text NOT NULL,
    name          text,
    campaign_type text,
    active        boolean,
    created_at    timestamptz,
    updated_at    timestamptz,
    vouchers_count  bigint,
    generation_status text,
    doc           jsonb,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX campaigns_name ON campaigns (project_id, name);
CREATE INDEX campaigns_created ON campaigns (project_id, created_at, id);

-- definition and its version: NULL while the voucher inherits its campaign's template.
CREATE TABLE vouchers (
    project_id  text NOT NULL,
    id          text NOT NULL,
    code        text,
    campaign_id text,
    type        text,
    active      boolean,
    created_at  timestamptz,
    updated_at  timestamptz,
    definition  jsonb,
    version     bigint,
    PRIMARY KEY (project_id, id)
);
CREATE UNIQUE INDEX vouchers_code ON vouchers (project_id, code);
CREATE INDEX vouchers_campaign ON vouchers (project_id, campaign_id, created_at, id);
CREATE INDEX vouchers_created ON vouchers (project_id, created_at, id);

-- Balances as the ledger's newest posting to each account left them.
CREATE TABLE accounts (
    project_id text NOT NULL,
    account    text NOT NULL,
    used       bigint NOT NULL,
    available  bigint,
    adjusted   bigint NOT NULL,
    position   bigint NOT NULL,
    PRIMARY KEY (project_id, account)
);

CREATE TABLE voucher_holders (
    project_id    text NOT NULL,
    voucher_id    text NOT NULL,
    holder_id     text,
    publish_count bigint NOT NULL,
    PRIMARY KEY (project_id, voucher_id)
);

CREATE TABLE campaign_totals (
    project_id text NOT NULL,
    campaign_id text NOT NULL,
    redemptions_succeeded bigint NOT NULL,
    redemptions_failed bigint NOT NULL,
    rollbacks_succeeded bigint NOT NULL,
    discounted_amount bigint NOT NULL,
    rolledback_discounted_amount bigint NOT NULL,
    amount_redeemed bigint NOT NULL,
    amount_rolledback bigint NOT NULL,
    amount_added bigint NOT NULL,
    orders_amount bigint NOT NULL,
    orders_rolledback_amount bigint NOT NULL,
    PRIMARY KEY (project_id, campaign_id)
);

CREATE TABLE campaign_publications (
    project_id  text NOT NULL,
    campaign_id text NOT NULL,
    succeeded   bigint NOT NULL,
    failed      bigint NOT NULL,
    PRIMARY KEY (project_id, campaign_id)
);

CREATE TABLE voucher_transactions (
    project_id text NOT NULL,
    id         text NOT NULL,
    voucher_id text,
    created_at timestamptz,
    doc        jsonb,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX voucher_transactions_voucher ON voucher_transactions (project_id, voucher_id, created_at, id);

CREATE TABLE customers (
    project_id text NOT NULL,
    id         text NOT NULL,
    source_id  text,
    name       text,
    email      text,
    city       text,
    created_at timestamptz,
    updated_at timestamptz,
    doc        jsonb,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX customers_source ON customers (project_id, source_id);
CREATE INDEX customers_created ON customers (project_id, created_at, id);

CREATE TABLE customer_totals (
    project_id  text NOT NULL,
    customer_id text NOT NULL,
    redeemed    bigint NOT NULL,
    failed      bigint NOT NULL,
    rolled_back bigint NOT NULL,
    gift_amount bigint NOT NULL,
    PRIMARY KEY (project_id, customer_id)
);

CREATE TABLE segments (
    project_id text NOT NULL,
    id         text NOT NULL,
    name       text,
    created_at timestamptz,
    doc        jsonb,
    PRIMARY KEY (project_id, id)
);

CREATE TABLE segment_members (
    project_id  text NOT NULL,
    segment_id  text NOT NULL,
    customer_id text NOT NULL,
    PRIMARY KEY (project_id, segment_id, customer_id)
);

-- doc is what the order's owner says, ledger_doc what the ledger's newest redemption or rollback made
-- of it; whichever is newer is shown (see read_models/customers.py).
CREATE TABLE orders (
    project_id  text NOT NULL,
    id          text NOT NULL,
    source_id   text,
    doc         jsonb,
    caused_by   text,
    ledger_doc  jsonb,
    ledger_cause text,
    ledger_at   timestamptz,
    ledger_created_at timestamptz,
    PRIMARY KEY (project_id, id)
);

CREATE TABLE products (
    project_id text NOT NULL,
    id         text NOT NULL,
    source_id  text,
    name       text,
    created_at timestamptz,
    updated_at timestamptz,
    doc        jsonb,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX products_created ON products (project_id, created_at, id);

CREATE TABLE skus (
    project_id text NOT NULL,
    id         text NOT NULL,
    product_id text,
    source_id  text,
    created_at timestamptz,
    doc        jsonb,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX skus_product ON skus (project_id, product_id, created_at, id);

-- Redemptions, failed ones, parents, and rollbacks: every object that the API lists.
CREATE TABLE redemptions (
    project_id  text NOT NULL,
    id          text NOT NULL,
    parent_id   text,
    kind        text,
    result      text,
    date        timestamptz,
    customer_id text,
    voucher_id  text,
    campaign_id text,
    order_id    text,
    related_object_type text,
    related_object_id   text,
    failure_code text,
    doc         jsonb,
    rollback_id text,
    rolled_back_at timestamptz,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX redemptions_date ON redemptions (project_id, date, id);
CREATE INDEX redemptions_voucher ON redemptions (project_id, voucher_id, date);
CREATE INDEX redemptions_customer ON redemptions (project_id, customer_id, date);

CREATE TABLE publications (
    project_id  text NOT NULL,
    id          text NOT NULL,
    customer_id text,
    campaign_id text,
    source_id   text,
    result      text,
    created_at  timestamptz,
    doc         jsonb,
    error       jsonb,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX publications_created ON publications (project_id, created_at, id);

CREATE TABLE validation_rules (
    project_id text NOT NULL,
    id         text NOT NULL,
    name       text,
    created_at timestamptz,
    doc        jsonb,
    PRIMARY KEY (project_id, id)
);

CREATE TABLE assignments (
    project_id        text NOT NULL,
    id                text NOT NULL,
    rule_id           text,
    related_object_id text,
    created_at        timestamptz,
    doc               jsonb,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX assignments_rule ON assignments (project_id, rule_id);
CREATE INDEX assignments_related ON assignments (project_id, related_object_id);

CREATE TABLE async_actions (
    project_id text NOT NULL,
    id         text NOT NULL,
    status     text,
    done       bigint,
    total      bigint,
    created_at timestamptz,
    updated_at timestamptz,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX async_actions_created ON async_actions (project_id, created_at, id);

CREATE TABLE endpoints (
    project_id text NOT NULL,
    id         text NOT NULL,
    created_at timestamptz,
    doc        jsonb,
    PRIMARY KEY (project_id, id)
);

CREATE TABLE deliveries (
    project_id  text NOT NULL,
    id          text NOT NULL,
    endpoint_id text,
    event_type  text,
    status      text,
    updated_at  timestamptz,
    attempts    jsonb,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX deliveries_updated ON deliveries (project_id, updated_at, id);

CREATE TABLE distributions (
    project_id text NOT NULL,
    id         text NOT NULL,
    name       text,
    created_at timestamptz,
    doc        jsonb,
    PRIMARY KEY (project_id, id)
);
