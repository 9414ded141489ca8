-- walkback: parents=20240506
-- walkback: label=coupons

CREATE TABLE coupons (
    code        TEXT PRIMARY KEY NOT NULL,
    percent_off INTEGER NOT NULL CHECK (percent_off BETWEEN 1 AND 100),
    valid_until TEXT
) WITHOUT ROWID;

WITH RECURSIVE n (i) AS (
    SELECT 1
    UNION ALL
    SELECT i + 1 FROM n WHERE i < 400
)
INSERT INTO coupons (code, percent_off, valid_until)
SELECT printf('THANKS-%04d', i * 13 % 10000),
       5 + i % 4 * 5,
       CASE WHEN i % 3 <> 0 THEN date('2024-06-10', '+' || i || ' days') END
FROM n;

ALTER TABLE orders ADD COLUMN discount_cents INTEGER NOT NULL DEFAULT 0;

UPDATE orders
SET discount_cents = 100 * (1 + id % 9)
WHERE id % 20 = 0 AND status <> 'new';
