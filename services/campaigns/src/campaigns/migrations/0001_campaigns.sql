-- Every code of a project, once: the voucher's id follows from its code, so one index serves both.
-- A code of a campaign has a stream only after it was changed by itself.
CREATE TABLE codes (
    project_id   text        NOT NULL,
    voucher_id   text        NOT NULL,
    code         text        NOT NULL,
    campaign_id  text,
    action_id    text,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (project_id, voucher_id)
);

CREATE TABLE campaign_names (
    project_id   text NOT NULL,
    name         text NOT NULL,
    campaign_id  text NOT NULL,
    PRIMARY KEY (project_id, name)
);

-- Apart from the campaign's stream, so that single codes do not contend for it.
CREATE TABLE campaign_code_counts (
    project_id   text   NOT NULL,
    campaign_id  text   NOT NULL,
    codes        bigint NOT NULL CHECK (codes >= 0),
    PRIMARY KEY (project_id, campaign_id)
);

-- One row for each asynchronous generation, kept: definition is what its codes are if they differ.
CREATE TABLE generation_jobs (
    project_id      text        NOT NULL,
    action_id       text        NOT NULL,
    campaign_id     text        NOT NULL,
    total           bigint      NOT NULL CHECK (total > 0),
    done            bigint      NOT NULL DEFAULT 0 CHECK (done BETWEEN 0 AND total),
    status          text        NOT NULL CHECK (status IN ('running', 'done', 'failed')),
    code_config     jsonb,
    definition      jsonb,
    turn            bigint      NOT NULL DEFAULT 0,
    correlation_id  text        NOT NULL,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (project_id, action_id)
);
CREATE INDEX generation_jobs_running ON generation_jobs (project_id, turn) WHERE status = 'running';

-- Projects take turns; whoever waited longest is next.
CREATE TABLE generation_turns (
    project_id  text   PRIMARY KEY,
    turn        bigint NOT NULL DEFAULT 0
);
CREATE SEQUENCE generation_turn_numbers;

CREATE TABLE assigned_rules (
    project_id           text NOT NULL,
    related_object_type  text NOT NULL,
    related_object_id    text NOT NULL,
    rule_id              text NOT NULL,
    assignment_id        text NOT NULL,
    PRIMARY KEY (project_id, related_object_type, related_object_id, rule_id)
);
