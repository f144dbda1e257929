-- What the tables of a read model were folded into: one that is folded otherwise now is built again.
CREATE TABLE projection_shapes (consumer text PRIMARY KEY, shape text NOT NULL);
