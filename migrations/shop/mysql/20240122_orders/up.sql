CREATE TABLE orders (
    id          INT PRIMARY KEY,
    customer_id INT NOT NULL,
    status      ENUM ('new', 'paid', 'sent', 'returned') NOT NULL DEFAULT 'new',
    ordered_at  DATETIME NOT NULL,
    note        TEXT,
    CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id)
);

INSERT INTO orders (id, customer_id, status, ordered_at, note)
WITH digits (d) AS (
    SELECT 0 UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
    UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9
),
n (i) AS (
    SELECT 1 + ones.d + tens.d * 10 + hundreds.d * 100 + thousands.d * 1000 + more.d * 10000
    FROM digits AS ones CROSS JOIN digits AS tens CROSS JOIN digits AS hundreds CROSS JOIN digits AS thousands CROSS JOIN digits AS more
)
SELECT i,
       1 + i * 7919 % 8000,
       CASE i % 10 WHEN 0 THEN 'new' WHEN 1 THEN 'returned' WHEN 2 THEN 'paid' ELSE 'sent' END,
       TIMESTAMP '2022-01-01 00:00:00' + INTERVAL (i * 11 % 720) DAY + INTERVAL (i * 3607 % 86400) SECOND,
       CASE WHEN i % 50 = 0 THEN 'ring twice; the bell "sticks" -- really' END
FROM n
WHERE i <= 18000;

-- One row for each thing ordered.
CREATE TABLE order_items (
    order_id    INT NOT NULL,
    line        INT NOT NULL,
    product_id  INT NOT NULL,
    quantity    INT NOT NULL,
    price_cents INT NOT NULL,
    PRIMARY KEY (order_id, line),
    CONSTRAINT order_items_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE,
    CONSTRAINT order_items_product FOREIGN KEY (product_id) REFERENCES products (id),
    CONSTRAINT order_items_quantity CHECK (quantity > 0)
);

INSERT INTO order_items (order_id, line, product_id, quantity, price_cents)
SELECT orders.id,
       `lines`.line,
       1 + (orders.id * 31 + `lines`.line * 389) % 1500,
       1 + (orders.id + `lines`.line) % 4,
       100 + (orders.id * 17 + `lines`.line * 7) % 24000
FROM orders
JOIN (SELECT 1 AS line UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) AS `lines`
  ON `lines`.line <= 1 + orders.id % 4;
