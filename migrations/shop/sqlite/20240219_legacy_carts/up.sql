-- Carts of the old shop, moved over as they were, so that nobody lost a half-filled cart on the day.
CREATE TABLE legacy_carts (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    customer_id INTEGER REFERENCES customers (id),
    token       BLOB NOT NULL,
    "contents"  TEXT NOT NULL,
    total       REAL,
    touched_at  TEXT
);

CREATE INDEX legacy_carts_by_customer ON legacy_carts (customer_id, touched_at DESC);

WITH RECURSIVE n (i) AS (
    SELECT 1
    UNION ALL
    SELECT i + 1 FROM n WHERE i < 6000
)
INSERT INTO legacy_carts (id, customer_id, token, "contents", total, touched_at)
SELECT i * 3,
       CASE WHEN i % 5 <> 0 THEN 1 + i * 271 % 8000 END,
       CAST(printf('%08x', i * 2654435761 % 4294967296) AS BLOB) || x'00ff' || CAST(i AS BLOB),
       '{"items": [{"sku": "SKU-' || printf('%05d', 7 * (1 + i % 1500)) || '", "n": ' || (1 + i % 5)
           || '}], "note": "it''s a gift 🎁"}',
       CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN 0.1 * i WHEN 2 THEN -0.0 ELSE i / 8.0 END,
       CASE WHEN i % 11 <> 0 THEN datetime('2020-05-01', '+' || (i * 13 % 600) || ' days') END
FROM n;

-- The highest carts were emptied long ago: their numbers must not be given out again.
DELETE FROM legacy_carts WHERE id > 17700;
