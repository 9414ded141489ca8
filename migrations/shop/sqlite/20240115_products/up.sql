CREATE TABLE categories (
    id        INTEGER PRIMARY KEY,
    parent_id INTEGER REFERENCES categories (id),
    name      TEXT NOT NULL UNIQUE
);

INSERT INTO categories (id, parent_id, name)
VALUES (1, NULL, 'Kitchen'), (2, NULL, 'Garden'), (3, NULL, 'Books'), (4, NULL, 'Toys'),
       (5, 1, 'Knives'), (6, 1, 'Pots & pans'), (7, 2, 'Seeds'), (8, 2, 'Tools'),
       (9, 3, 'Novels'), (10, 3, 'Maps'), (11, 4, 'Kites 🪁'), (12, 4, 'Puzzles');

CREATE TABLE products (
    id          INTEGER PRIMARY KEY,
    sku         TEXT NOT NULL UNIQUE,
    category_id INTEGER NOT NULL REFERENCES categories (id),
    name        TEXT NOT NULL,
    -- Text, because the first import came from a spreadsheet.
    price       TEXT NOT NULL,
    weight_kg   REAL,
    added_on    TEXT NOT NULL
);

WITH RECURSIVE n (i) AS (
    SELECT 1
    UNION ALL
    SELECT i + 1 FROM n WHERE i < 1500
)
INSERT INTO products (id, sku, category_id, name, price, weight_kg, added_on)
SELECT i,
       printf('SKU-%05d', i * 7),
       5 + i % 8,
       'Article no. ' || i,
       printf('%d.%02d', 1 + i * 17 % 240, i * 29 % 100),
       CASE WHEN i % 6 <> 0 THEN (i * 53 % 4000) / 128.0 END,
       date('2021-01-04', '+' || (i * 3 % 900) || ' days')
FROM n;
