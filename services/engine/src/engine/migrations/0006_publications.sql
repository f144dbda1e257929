-- To whom codes were published and with what metadata, for the formulas that ask.
CREATE TABLE publications (
    project_id text NOT NULL,
    voucher_id text NOT NULL,
    id text NOT NULL,
    customer_id text,
    published_at timestamptz,
    metadata jsonb,
    PRIMARY KEY (project_id, voucher_id, id)
);
