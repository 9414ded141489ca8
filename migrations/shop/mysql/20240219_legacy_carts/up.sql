-- Carts of the old shop, moved over as they were, so that nobody lost a half-filled cart on the day.
CREATE TABLE legacy_carts (
    id          INT AUTO_INCREMENT PRIMARY KEY,
    customer_id INT,
    token       VARBINARY(40) NOT NULL,
    `contents`  JSON NOT NULL,
    total       DOUBLE,
    touched_at  TIMESTAMP NULL,
    CONSTRAINT legacy_carts_customer FOREIGN KEY (customer_id) REFERENCES customers (id)
);

CREATE INDEX legacy_carts_by_customer ON legacy_carts (customer_id, touched_at DESC);

INSERT INTO legacy_carts (id, customer_id, token, `contents`, total, touched_at)
WITH digits (d) AS (
    SELECT 0 UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
    UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9
),
n (i) AS (
    SELECT 1 + ones.d + tens.d * 10 + hundreds.d * 100 + thousands.d * 1000
    FROM digits AS ones CROSS JOIN digits AS tens CROSS JOIN digits AS hundreds CROSS JOIN digits AS thousands
)
SELECT i * 3,
       CASE WHEN i % 5 <> 0 THEN 1 + i * 271 % 8000 END,
       UNHEX(CONCAT(LPAD(HEX(i * 2654435761 % 4294967296), 8, '0'), '00FF', HEX(CAST(i AS CHAR)))),
       CONCAT('{"items": [{"sku": "SKU-', LPAD(7 * (1 + i % 1500), 5, '0'), '", "n": ', 1 + i % 5,
           '}], "note": "it''s a gift 🎁"}'),
       CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN 0.1e0 * i WHEN 2 THEN -0e0 ELSE i / 8e0 END,
       CASE WHEN i % 11 <> 0 THEN TIMESTAMP '2020-05-01 00:00:00' + INTERVAL (i * 13 % 600) DAY END
FROM n
WHERE i <= 6000;

-- The highest carts were emptied long ago: their numbers must not be given out again.
DELETE FROM legacy_carts WHERE id > 17700;
