-- Asynchronous changes of many things that wait for their turn; how far each is stands in its stream.
CREATE TABLE bulk_jobs (
    project_id      text        NOT NULL,
    action_id       text        NOT NULL,
    correlation_id  text        NOT NULL,
    turn            bigint      NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (project_id, action_id)
);
CREATE INDEX bulk_jobs_waiting ON bulk_jobs (turn, created_at);
CREATE SEQUENCE bulk_turns;

-- Their parts, each removed by the transaction that makes its changes.
CREATE TABLE bulk_parts (
    project_id      text        NOT NULL,
    action_id       text        NOT NULL,
    part            integer     NOT NULL,
    elements        jsonb       NOT NULL,
    received_at     timestamptz NOT NULL,
    PRIMARY KEY (project_id, action_id, part)
);
