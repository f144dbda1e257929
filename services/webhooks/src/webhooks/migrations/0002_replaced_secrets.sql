-- Secrets that were replaced and still sign for a while: [{"secret", "until"}], the newest first.
ALTER TABLE endpoints ADD COLUMN replaced_secrets jsonb NOT NULL DEFAULT '[]';
