CREATE TABLE categories (
    id        integer PRIMARY KEY,
    parent_id integer REFERENCES categories (id),
    name      text NOT NULL UNIQUE
);

INSERT INTO categories (id, parent_id, name)
VALUES (1, NULL, 'Kitchen'), (2, NULL, 'Garden'), (3, NULL, 'Books'), (4, NULL, 'Toys'),
       (5, 1, 'Knives'), (6, 1, 'Pots & pans'), (7, 2, 'Seeds'), (8, 2, 'Tools'),
       (9, 3, 'Novels'), (10, 3, 'Maps'), (11, 4, 'Kites 🪁'), (12, 4, 'Puzzles');

CREATE TABLE products (
    id          integer PRIMARY KEY,
    sku         text NOT NULL UNIQUE,
    category_id integer NOT NULL REFERENCES categories (id),
    name        text NOT NULL,
    -- Text, because the first import came from a spreadsheet.
    price       text NOT NULL,
    weight_kg   real,
    added_on    date NOT NULL
);

INSERT INTO products (id, sku, category_id, name, price, weight_kg, added_on)
SELECT i,
       'SKU-' || to_char(i * 7, 'FM00000'),
       5 + i % 8,
       'Article no. ' || i,
       1 + i * 17 % 240 || '.' || to_char(i * 29 % 100, 'FM00'),
       CASE WHEN i % 6 <> 0 THEN (i * 53 % 4000) / 128.0 END,
       date '2021-01-04' + i * 3 % 900
FROM generate_series(1, 1500) AS n (i);
