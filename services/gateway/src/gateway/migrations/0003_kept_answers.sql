-- The answer of an operation that is made of several commands and reads, so that a repeated request
-- gets the same one. Operations whose answer follows from one stored reply alone leave it empty.
ALTER TABLE idempotency_keys ADD COLUMN status smallint, ADD COLUMN answer bytea;
