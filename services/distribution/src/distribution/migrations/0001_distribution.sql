-- The pool: a fold of campaigns' events and nothing else (`make rebuild` makes it again).
CREATE TABLE campaigns (
    project_id  text  NOT NULL,
    id          text  NOT NULL,
    name        text  NOT NULL,
    doc         jsonb NOT NULL,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX campaigns_name ON campaigns (project_id, name);

CREATE TABLE pool (
    project_id   text    NOT NULL,
    code         text    NOT NULL,
    voucher_id   text    NOT NULL,
    campaign_id  text,
    active       boolean NOT NULL,
    definition   jsonb,
    version      bigint  NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz,
    PRIMARY KEY (project_id, code)
);
CREATE INDEX pool_voucher ON pool (project_id, voucher_id);
CREATE INDEX pool_campaign ON pool (project_id, campaign_id) WHERE active;

-- Who got a unique code. The primary key is the promise that no code is given twice.
CREATE TABLE assigned_codes (
    project_id      text NOT NULL,
    code            text NOT NULL,
    publication_id  text NOT NULL,
    PRIMARY KEY (project_id, code)
);
CREATE INDEX assigned_codes_publication ON assigned_codes (project_id, publication_id);

-- pool minus assigned_codes, so that finding a free code does not walk over those that are taken.
-- Kept by the triggers below, also while the pool is rebuilt.
CREATE TABLE free_codes (
    project_id   text NOT NULL,
    campaign_id  text NOT NULL,
    code         text NOT NULL,
    PRIMARY KEY (project_id, campaign_id, code)
);

CREATE FUNCTION pool_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO free_codes (project_id, campaign_id, code)
    SELECT n.project_id, n.campaign_id, n.code FROM new_rows n
    WHERE n.campaign_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM assigned_codes a WHERE a.project_id = n.project_id AND a.code = n.code)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER pool_grows AFTER INSERT ON pool
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pool_grows();

CREATE FUNCTION pool_shrinks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM free_codes f USING old_rows o
    WHERE f.project_id = o.project_id AND f.campaign_id = o.campaign_id AND f.code = o.code;
    RETURN NULL;
END $$;
CREATE TRIGGER pool_shrinks AFTER DELETE ON pool
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pool_shrinks();

CREATE FUNCTION code_is_taken() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM free_codes f USING new_rows n, pool p
    WHERE p.project_id = n.project_id AND p.code = n.code
      AND f.project_id = p.project_id AND f.campaign_id = p.campaign_id AND f.code = p.code;
    RETURN NULL;
END $$;
CREATE TRIGGER code_is_taken AFTER INSERT ON assigned_codes
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION code_is_taken();

-- The first publication of a campaign to a customer: what join_once gives back.
CREATE TABLE memberships (
    project_id      text NOT NULL,
    campaign_id     text NOT NULL,
    customer_id     text NOT NULL,
    publication_id  text NOT NULL,
    PRIMARY KEY (project_id, campaign_id, customer_id)
);

CREATE TABLE publication_sources (
    project_id      text NOT NULL,
    source_id       text NOT NULL,
    publication_id  text NOT NULL,
    PRIMARY KEY (project_id, source_id)
);

-- Live distributions by what starts them.
CREATE TABLE triggers (
    project_id       text NOT NULL,
    event_name       text NOT NULL,
    distribution_id  text NOT NULL,
    PRIMARY KEY (project_id, event_name, distribution_id)
);
CREATE INDEX triggers_distribution ON triggers (project_id, distribution_id);

-- Triggers whose campaign has yet to make a code.
CREATE TABLE waiting_triggers (
    project_id       text        NOT NULL,
    distribution_id  text        NOT NULL,
    trigger_id       text        NOT NULL,
    event            jsonb       NOT NULL,
    correlation_id   text        NOT NULL,
    attempts         int         NOT NULL DEFAULT 1,
    due_at           timestamptz NOT NULL,
    PRIMARY KEY (project_id, distribution_id, trigger_id)
);
CREATE INDEX waiting_triggers_due ON waiting_triggers (due_at);

-- What is to be sent. `sending` is committed before the server may have the message, so that a
-- crash in between leaves a row that is never sent again.
CREATE TABLE messages (
    project_id       text        NOT NULL,
    message_id       text        NOT NULL,
    distribution_id  text        NOT NULL,
    customer_id      text        NOT NULL,
    correlation_id   text        NOT NULL,
    content          jsonb       NOT NULL,
    status           text        NOT NULL
        CHECK (status IN ('queued', 'sending', 'sent', 'failed', 'unknown')),
    attempts         int         NOT NULL DEFAULT 0,
    due_at           timestamptz NOT NULL,
    leased_until     timestamptz,
    reason           text,
    PRIMARY KEY (project_id, message_id)
);
CREATE INDEX messages_due ON messages (due_at) WHERE status IN ('queued', 'sending');
