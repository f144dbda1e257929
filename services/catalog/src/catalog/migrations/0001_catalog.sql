-- Which SKUs a product has: deleting it deletes them.
CREATE TABLE product_skus (
    project_id  text NOT NULL,
    product_id  text NOT NULL,
    sku_id      text NOT NULL,
    PRIMARY KEY (project_id, sku_id)
);
CREATE INDEX product_skus_product ON product_skus (project_id, product_id, sku_id);

INSERT INTO product_skus (project_id, product_id, sku_id)
SELECT project_id, state->>'product_id', state->>'id' FROM aggregates WHERE stream_id LIKE 'sku-%';

CREATE TABLE collection_counts (
    project_id   text   PRIMARY KEY,
    collections  bigint NOT NULL CHECK (collections >= 0)
);
