-- What the catalogue asks for things, for order lines that are sent without a price.
CREATE TABLE catalogue_prices (
    project_id  text   NOT NULL,
    id          text   NOT NULL,
    price       bigint,
    product_id  text,
    PRIMARY KEY (project_id, id)
);
