-- Facts that several partitions tell of: the ledger's and the publications' newest position counts.
ALTER TABLE voucher_holders ADD COLUMN position bigint NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN ledger_position bigint;

-- What is shown of an order, by which lists sort and filter; made of the row's other columns.
ALTER TABLE orders
    ADD COLUMN status text,
    ADD COLUMN customer_id text,
    ADD COLUMN amount bigint,
    ADD COLUMN created_at timestamptz,
    ADD COLUMN updated_at timestamptz;
CREATE INDEX orders_created ON orders (project_id, created_at, id);
CREATE INDEX orders_customer ON orders (project_id, customer_id);

CREATE INDEX vouchers_holder ON voucher_holders (project_id, holder_id);
CREATE INDEX redemptions_parent ON redemptions (project_id, parent_id);
CREATE INDEX redemptions_campaign ON redemptions (project_id, campaign_id, date);
CREATE INDEX segments_created ON segments (project_id, created_at, id);
