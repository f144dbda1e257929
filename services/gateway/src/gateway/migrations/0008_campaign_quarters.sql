-- What happened in a campaign in each quarter of an hour: a summary adds up those of its days.
CREATE TABLE campaign_quarters (
    project_id  text NOT NULL,
    campaign_id text NOT NULL,
    quarter     timestamptz NOT NULL,
    redemptions_succeeded bigint NOT NULL,
    redemptions_failed bigint NOT NULL,
    rollbacks_succeeded bigint NOT NULL,
    rollbacks_failed bigint NOT NULL,
    discounted_amount bigint NOT NULL,
    rolledback_discounted_amount bigint NOT NULL,
    amount_redeemed bigint NOT NULL,
    amount_rolledback bigint NOT NULL,
    amount_added bigint NOT NULL,
    amount_subtracted bigint NOT NULL,
    orders_amount bigint NOT NULL,
    orders_rolledback_amount bigint NOT NULL,
    vouchers_created bigint NOT NULL,
    created_vouchers_amount bigint NOT NULL,
    publications_succeeded bigint NOT NULL,
    publications_failed bigint NOT NULL,
    PRIMARY KEY (project_id, campaign_id, quarter)
);
DROP TABLE campaign_totals, campaign_publications;
