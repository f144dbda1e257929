-- Balances of everything that is limited. available = limit_amount + adjusted - used - held; the checks
-- stand behind the domain's decisions and are never reached.
CREATE TABLE accounts (
    project_id    text    NOT NULL,
    account       text    NOT NULL,
    unit          text    NOT NULL CHECK (unit IN ('use', 'credit', 'point', 'discount', 'order_amount')),
    limit_amount  bigint,
    limit_version integer NOT NULL DEFAULT 0,
    adjusted      bigint  NOT NULL DEFAULT 0,
    used          bigint  NOT NULL DEFAULT 0 CHECK (used >= 0),
    held          bigint  NOT NULL DEFAULT 0 CHECK (held >= 0),
    PRIMARY KEY (project_id, account),
    CONSTRAINT never_over CHECK (limit_amount IS NULL OR limit_amount + adjusted - used - held >= 0)
) WITH (fillfactor = 50);

-- Only redemptions of a stack: a child leads to the stream of its parent.
CREATE TABLE redemption_children (
    project_id text NOT NULL,
    child_id   text NOT NULL,
    parent_id  text NOT NULL,
    PRIMARY KEY (project_id, child_id)
);

-- What sessions hold; a row goes when its hold is released.
CREATE TABLE holds (
    project_id     text        NOT NULL,
    session_key    text        NOT NULL,
    postings       jsonb       NOT NULL,
    expires_at     timestamptz,
    stream_version integer     NOT NULL,
    hash           bytea       NOT NULL,
    PRIMARY KEY (project_id, session_key)
);
CREATE INDEX holds_due ON holds (expires_at) WHERE postings <> '[]'::jsonb;
