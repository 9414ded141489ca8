-- walkback: parents=20240506
-- walkback: label=coupons

CREATE TABLE coupons (
    code        text PRIMARY KEY,
    percent_off integer NOT NULL CHECK (percent_off BETWEEN 1 AND 100),
    valid_until date
);

INSERT INTO coupons (code, percent_off, valid_until)
SELECT 'THANKS-' || to_char(i * 13 % 10000, 'FM0000'),
       5 + i % 4 * 5,
       CASE WHEN i % 3 <> 0 THEN date '2024-06-10' + i END
FROM generate_series(1, 400) AS n (i);

ALTER TABLE orders ADD COLUMN discount_cents integer NOT NULL DEFAULT 0;

UPDATE orders
SET discount_cents = 100 * (1 + id % 9)
WHERE id % 20 = 0 AND status <> 'new';
