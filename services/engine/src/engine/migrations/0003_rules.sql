-- The week's first day, counted from Monday.
ALTER TABLE projects ADD COLUMN first_day_of_week smallint;

-- An assignment that was removed stays, without its rule: versions of limits never go down.
ALTER TABLE assignments ADD COLUMN position bigint;

CREATE TABLE collections (
    project_id text NOT NULL,
    id text NOT NULL,
    version bigint,
    doc jsonb,
    PRIMARY KEY (project_id, id)
);

-- To whom a code was published.
CREATE TABLE holders (
    project_id text NOT NULL,
    voucher_id text NOT NULL,
    customer_id text NOT NULL,
    PRIMARY KEY (project_id, voucher_id, customer_id)
);
