CREATE TABLE product_collections (
    project_id text NOT NULL,
    id         text NOT NULL,
    name       text,
    created_at timestamptz,
    updated_at timestamptz,
    doc        jsonb,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX product_collections_created ON product_collections (project_id, created_at, id);
