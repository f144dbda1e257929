-- A key's origins and rate are its project's settings, read with the key: one place, changed at once.
ALTER TABLE api_keys DROP COLUMN origins, DROP COLUMN rate_per_minute;
