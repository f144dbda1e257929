-- A session's hold goes with its order: what is held for one that is canceled is given back.
ALTER TABLE holds ADD COLUMN order_id text;
CREATE INDEX holds_by_order ON holds (project_id, order_id) WHERE postings <> '[]'::jsonb;

-- An order's account counts its redemptions and rollbacks; this is the event counted last, as
-- <stream>@<version>, so that a plan made before it can be told what the order is now.
ALTER TABLE accounts ADD COLUMN last_fact text;
