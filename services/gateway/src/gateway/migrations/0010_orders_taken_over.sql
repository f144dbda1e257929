-- Up to which of the ledger's facts an order's owner has taken over, by their time.
ALTER TABLE orders DROP COLUMN caused_by, DROP COLUMN ledger_cause, ADD COLUMN caused_at timestamptz;
