CREATE TYPE order_status AS ENUM ('new', 'paid', 'sent', 'returned');

CREATE TABLE orders (
    id          integer PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers (id),
    status      order_status NOT NULL DEFAULT 'new',
    ordered_at  timestamp NOT NULL,
    note        text
);

INSERT INTO orders (id, customer_id, status, ordered_at, note)
SELECT i,
       1 + i::bigint * 7919 % 8000,
       (CASE i % 10 WHEN 0 THEN 'new' WHEN 1 THEN 'returned' WHEN 2 THEN 'paid' ELSE 'sent' END)::order_status,
       timestamp '2022-01-01' + make_interval(days => i * 11 % 720, secs => i * 3607 % 86400),
       CASE WHEN i % 50 = 0 THEN 'ring twice; the bell "sticks" -- really' END
FROM generate_series(1, 18000) AS n (i);

-- One row for each thing ordered.
CREATE TABLE order_items (
    order_id    integer NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    line        integer NOT NULL,
    product_id  integer NOT NULL REFERENCES products (id),
    quantity    integer NOT NULL CHECK (quantity > 0),
    price_cents integer NOT NULL,
    PRIMARY KEY (order_id, line)
);

INSERT INTO order_items (order_id, line, product_id, quantity, price_cents)
SELECT orders.id,
       lines.line,
       1 + (orders.id * 31 + lines.line * 389) % 1500,
       1 + (orders.id + lines.line) % 4,
       100 + (orders.id * 17 + lines.line * 7) % 24000
FROM orders
JOIN generate_series(1, 4) AS lines (line) ON lines.line <= 1 + orders.id % 4;
