-- How often each validation rule is assigned. The row is what assigning and deleting a rule contend for, so
-- that a rule that is being assigned cannot be deleted, nor the reverse.
CREATE TABLE rule_uses (
    project_id  text    NOT NULL,
    rule_id     text    NOT NULL,
    uses        bigint  NOT NULL CHECK (uses >= 0),
    is_deleted  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (project_id, rule_id),
    CHECK (uses = 0 OR NOT is_deleted)
);
INSERT INTO rule_uses (project_id, rule_id, uses)
SELECT project_id, rule_id, count(*) FROM assigned_rules GROUP BY project_id, rule_id;

CREATE INDEX assigned_rules_rule ON assigned_rules (project_id, rule_id);
CREATE INDEX assigned_rules_assignment ON assigned_rules (project_id, assignment_id);
