-- walkback: parents=20240506
-- walkback: label=loyalty

CREATE TABLE loyalty_accounts (
    customer_id INTEGER PRIMARY KEY REFERENCES customers (id) ON DELETE CASCADE,
    points      INTEGER NOT NULL,
    tier        TEXT NOT NULL CHECK (tier IN ('bronze', 'silver', 'gold'))
);

-- One point for each whole euro spent so far.
INSERT INTO loyalty_accounts (customer_id, points, tier)
SELECT customer_id,
       total_cents / 100,
       CASE WHEN total_cents >= 150000 THEN 'gold' WHEN total_cents >= 60000 THEN 'silver' ELSE 'bronze' END
FROM customer_totals
WHERE orders > 0;
