-- The projects of the gateway's log: what upstream systems send in another's name is refused.
CREATE TABLE known_projects (
    project_id text PRIMARY KEY,
    deleted_at timestamptz
);
