-- What sessions hold, in total of an account and by session; and how many facts an order has.
ALTER TABLE accounts ADD COLUMN held bigint, ADD COLUMN held_position bigint;
ALTER TABLE orders ADD COLUMN redeemed_version bigint;
CREATE TABLE holds (
    project_id text NOT NULL,
    session_key text NOT NULL,
    amounts jsonb,
    PRIMARY KEY (project_id, session_key)
);
