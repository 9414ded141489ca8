CREATE TABLE orders (
    id          INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    status      TEXT NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'paid', 'sent', 'returned')),
    ordered_at  TEXT NOT NULL,
    note        TEXT
);

WITH RECURSIVE n (i) AS (
    SELECT 1
    UNION ALL
    SELECT i + 1 FROM n WHERE i < 18000
)
INSERT INTO orders (id, customer_id, status, ordered_at, note)
SELECT i,
       1 + i * 7919 % 8000,
       CASE i % 10 WHEN 0 THEN 'new' WHEN 1 THEN 'returned' WHEN 2 THEN 'paid' ELSE 'sent' END,
       datetime('2022-01-01', '+' || (i * 11 % 720) || ' days', '+' || (i * 3607 % 86400) || ' seconds'),
       CASE WHEN i % 50 = 0 THEN 'ring twice; the bell "sticks" -- really' END
FROM n;

-- One row for each thing ordered. The key is the whole row's address, so no rowid is kept beside it.
CREATE TABLE order_items (
    order_id    INTEGER NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    line        INTEGER NOT NULL,
    product_id  INTEGER NOT NULL REFERENCES products (id),
    quantity    INTEGER NOT NULL CHECK (quantity > 0),
    price_cents INTEGER NOT NULL,
    PRIMARY KEY (order_id, line)
) WITHOUT ROWID;

INSERT INTO order_items (order_id, line, product_id, quantity, price_cents)
SELECT orders.id,
       lines.line,
       1 + (orders.id * 31 + lines.line * 389) % 1500,
       1 + (orders.id + lines.line) % 4,
       100 + (orders.id * 17 + lines.line * 7) % 24000
FROM orders
JOIN (SELECT 1 AS line UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) AS lines
  ON lines.line <= 1 + orders.id % 4;
