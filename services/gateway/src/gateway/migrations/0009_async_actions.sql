-- Which request began an asynchronous action, what kind it is (NULL: codes are generated), how many of its
-- objects were refused, and the first of them with the reasons.
ALTER TABLE async_actions
    ADD COLUMN type text,
    ADD COLUMN request_id text,
    ADD COLUMN failed_count bigint,
    ADD COLUMN failed jsonb;
