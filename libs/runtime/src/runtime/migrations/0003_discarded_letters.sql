-- Dead letters that an operator has given up for good, with their bytes and the operator's reason.
CREATE TABLE discarded_letters (
    id           bigint      PRIMARY KEY,
    project_id   text        NOT NULL,
    consumer     text        NOT NULL,
    topic        text        NOT NULL,
    partition    integer     NOT NULL,
    record_offset bigint     NOT NULL,
    stream_id    text        NOT NULL,
    reason       text        NOT NULL,
    key          bytea,
    headers      jsonb       NOT NULL,
    value        bytea,
    stored_at    timestamptz NOT NULL,
    discarded_at timestamptz NOT NULL,
    because      text        NOT NULL
);
