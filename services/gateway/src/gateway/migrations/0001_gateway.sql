-- Who may call. Only the keyed hash of a token is kept. Written with the event that issues the key.
CREATE TABLE api_keys (
    app_id      text        NOT NULL PRIMARY KEY,
    project_id  text        NOT NULL,
    key_id      text        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('server', 'client', 'management')),
    token_hash  text        NOT NULL,
    origins     jsonb       NOT NULL DEFAULT '[]',
    rate_per_minute integer,
    is_revoked  boolean     NOT NULL DEFAULT false,
    issued_at   timestamptz NOT NULL
);

-- Keys that clients sent, so that one key names one request whichever service answers it.
CREATE TABLE idempotency_keys (
    project_id  text        NOT NULL,
    key         text        NOT NULL,
    fingerprint text        NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (project_id, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
