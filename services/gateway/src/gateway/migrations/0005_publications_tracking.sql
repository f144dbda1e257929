-- By which publications are sorted: it follows from the customer's source_id.
ALTER TABLE publications ADD COLUMN tracking_id text;
