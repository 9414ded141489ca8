-- walkback: parents=20240506
-- walkback: label=coupons

CREATE TABLE coupons (
    code        VARCHAR(20) PRIMARY KEY,
    percent_off INT NOT NULL,
    valid_until DATE,
    CONSTRAINT coupons_percent CHECK (percent_off BETWEEN 1 AND 100)
);

INSERT INTO coupons (code, percent_off, valid_until)
WITH digits (d) AS (
    SELECT 0 UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
    UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9
),
n (i) AS (
    SELECT 1 + ones.d + tens.d * 10 + hundreds.d * 100
    FROM digits AS ones CROSS JOIN digits AS tens CROSS JOIN digits AS hundreds
)
SELECT CONCAT('THANKS-', LPAD(i * 13 % 10000, 4, '0')),
       5 + i % 4 * 5,
       CASE WHEN i % 3 <> 0 THEN DATE '2024-06-10' + INTERVAL i DAY END
FROM n
WHERE i <= 400;

ALTER TABLE orders ADD COLUMN discount_cents INT NOT NULL DEFAULT 0;

UPDATE orders
SET discount_cents = 100 * (1 + id % 9)
WHERE id % 20 = 0 AND status <> 'new';
