-- Segments with a filter, for looking at all of a project's at once; the log has them too.
-- due_at: when all customers are to be evaluated again; sweep_after: how far that has come.
CREATE TABLE dynamic_segments (
    project_id   text        NOT NULL,
    segment_id   text        NOT NULL,
    segment      jsonb       NOT NULL,
    due_at       timestamptz,
    sweep_after  text        NOT NULL DEFAULT '',
    PRIMARY KEY (project_id, segment_id)
);
CREATE INDEX dynamic_segments_due ON dynamic_segments (due_at) WHERE due_at IS NOT NULL;

-- Slices of a project's customers, in an order that no locale changes.
CREATE INDEX customers_of_project ON aggregates (project_id, stream_id COLLATE "C")
    WHERE stream_id LIKE 'customer-%';
