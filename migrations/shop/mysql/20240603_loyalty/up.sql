-- walkback: parents=20240506
-- walkback: label=loyalty

CREATE TABLE loyalty_accounts (
    customer_id INT PRIMARY KEY,
    points      INT NOT NULL,
    tier        SET ('bronze', 'silver', 'gold') NOT NULL,
    CONSTRAINT loyalty_accounts_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE
);

-- One point for each whole euro spent so far.
INSERT INTO loyalty_accounts (customer_id, points, tier)
SELECT customer_id,
       total_cents DIV 100,
       CASE WHEN total_cents >= 150000 THEN 'gold' WHEN total_cents >= 60000 THEN 'silver' ELSE 'bronze' END
FROM customer_totals
WHERE orders > 0;
