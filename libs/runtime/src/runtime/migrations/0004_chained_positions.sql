-- Of each partition of a topic, the position of the last event published: what the next one names as the
-- one before it. NULL: not known yet, so the log is asked.
ALTER TABLE relay_cursor ADD COLUMN published jsonb;
