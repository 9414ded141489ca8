-- walkback: parents=20240506
-- walkback: label=loyalty

CREATE TABLE loyalty_accounts (
    customer_id integer PRIMARY KEY REFERENCES customers (id) ON DELETE CASCADE,
    points      integer NOT NULL,
    tier        text NOT NULL CHECK (tier IN ('bronze', 'silver', 'gold'))
);

-- One point for each whole euro spent so far.
INSERT INTO loyalty_accounts (customer_id, points, tier)
SELECT customer_id,
       (total_cents / 100)::integer,
       CASE WHEN total_cents >= 150000 THEN 'gold' WHEN total_cents >= 60000 THEN 'silver' ELSE 'bronze' END
FROM customer_totals
WHERE orders > 0;
