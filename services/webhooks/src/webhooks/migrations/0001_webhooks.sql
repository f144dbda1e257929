-- Endpoints as their streams say, for looking at all of a project's at once.
CREATE TABLE endpoints (
    project_id   text    NOT NULL,
    endpoint_id  text    NOT NULL,
    target_url   text    NOT NULL,
    events       jsonb   NOT NULL,
    secret       text    NOT NULL,
    active       boolean NOT NULL,
    PRIMARY KEY (project_id, endpoint_id)
);

-- What was told before and is needed to say the rest: campaigns, rules, projects' secrets.
CREATE TABLE known (
    project_id  text  NOT NULL,
    id          text  NOT NULL,
    doc         jsonb NOT NULL,
    PRIMARY KEY (project_id, id)
);

-- A webhook event, stored once however many endpoints get it.
CREATE TABLE hooks (
    project_id  text        NOT NULL,
    hook_id     text        NOT NULL,
    name        text        NOT NULL,
    event_id    text        NOT NULL,
    body        jsonb       NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (project_id, hook_id)
);
CREATE INDEX hooks_created ON hooks (created_at);

-- One row for an event and an endpoint; the id follows from both, so there is never a second one.
CREATE TABLE deliveries (
    project_id      text        NOT NULL,
    delivery_id     text        NOT NULL,
    endpoint_id     text        NOT NULL,
    hook_id         text        NOT NULL,
    correlation_id  text        NOT NULL,
    status          text        NOT NULL
        CHECK (status IN ('pending', 'delivered', 'exhausted', 'canceled')),
    attempts        int         NOT NULL DEFAULT 0,
    is_manual       boolean     NOT NULL DEFAULT false,
    due_at          timestamptz NOT NULL,
    first_at        timestamptz,
    leased_until    timestamptz,
    PRIMARY KEY (project_id, delivery_id)
);
CREATE INDEX deliveries_due ON deliveries (project_id, endpoint_id, due_at) WHERE status = 'pending';
CREATE INDEX deliveries_hook ON deliveries (project_id, hook_id);

CREATE TABLE attempts (
    project_id       text        NOT NULL,
    delivery_id      text        NOT NULL,
    attempt          int         NOT NULL,
    at               timestamptz NOT NULL,
    status           text        NOT NULL,
    response_status  int,
    reason           text,
    duration_ms      int         NOT NULL,
    PRIMARY KEY (project_id, delivery_id, attempt)
);
