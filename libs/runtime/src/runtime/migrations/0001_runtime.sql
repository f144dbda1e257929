-- The log. Position order is commit order: see runtime/event_store.py.
CREATE TABLE events (
    project_id      text        NOT NULL,
    stream_id       text        NOT NULL,
    stream_version  integer     NOT NULL CHECK (stream_version > 0),
    position        bigint      GENERATED ALWAYS AS IDENTITY,
    event_id        text        NOT NULL,
    type            text        NOT NULL,
    topic           text        NOT NULL,
    partition       integer     NOT NULL,
    data            json        NOT NULL,
    hash            bytea       NOT NULL,
    occurred_at     timestamptz NOT NULL,
    correlation_id  text        NOT NULL,
    causation_id    text        NOT NULL,
    PRIMARY KEY (project_id, stream_id, stream_version)
);
CREATE UNIQUE INDEX events_position ON events (position);

-- History cannot be changed, not even by the service that wrote it.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the event log is append-only';
END $$;
CREATE TRIGGER events_are_immutable BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE aggregates (
    project_id  text    NOT NULL,
    stream_id   text    NOT NULL,
    version     integer NOT NULL,
    hash        bytea   NOT NULL,
    state       jsonb   NOT NULL,
    PRIMARY KEY (project_id, stream_id)
);

CREATE TABLE idempotency_records (
    project_id   text        NOT NULL,
    key          text        NOT NULL,
    fingerprint  text        NOT NULL,
    reply        json        NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (project_id, key)
);
CREATE INDEX idempotency_records_age ON idempotency_records (created_at);

-- position: of the last event applied, on topics of events; it outlives the topic itself.
-- previous_*: what stood there before the last advance, so that one UPDATE both advances and tells.
CREATE TABLE consumer_offsets (
    consumer     text    NOT NULL,
    topic        text    NOT NULL,
    partition    integer NOT NULL,
    next_offset  bigint  NOT NULL,
    previous_offset   bigint NOT NULL DEFAULT 0,
    position     bigint  NOT NULL DEFAULT 0,
    previous_position bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (consumer, topic, partition)
);

CREATE TABLE relay_cursor (
    id        boolean PRIMARY KEY DEFAULT true CHECK (id),
    position  bigint  NOT NULL
);
INSERT INTO relay_cursor (position) VALUES (0);

-- status: 'failed' could not be handled; 'held' waits behind a failed one of the same stream.
CREATE TABLE dead_letters (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id   text        NOT NULL,
    consumer     text        NOT NULL,
    topic        text        NOT NULL,
    partition    integer     NOT NULL,
    record_offset bigint     NOT NULL,
    stream_id    text        NOT NULL,
    status       text        NOT NULL CHECK (status IN ('failed', 'held')),
    reason       text        NOT NULL,
    key          bytea,
    headers      jsonb       NOT NULL,
    value        bytea,
    stored_at    timestamptz NOT NULL,
    UNIQUE (consumer, topic, partition, record_offset, stored_at)
);
CREATE INDEX dead_letters_stream ON dead_letters (consumer, project_id, stream_id);
