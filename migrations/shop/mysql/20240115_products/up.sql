CREATE TABLE categories (
    id        INT PRIMARY KEY,
    parent_id INT,
    name      VARCHAR(60) NOT NULL,
    UNIQUE KEY categories_name (name),
    CONSTRAINT categories_parent FOREIGN KEY (parent_id) REFERENCES categories (id)
);

INSERT INTO categories (id, parent_id, name)
VALUES (1, NULL, 'Kitchen'), (2, NULL, 'Garden'), (3, NULL, 'Books'), (4, NULL, 'Toys'),
       (5, 1, 'Knives'), (6, 1, 'Pots & pans'), (7, 2, 'Seeds'), (8, 2, 'Tools'),
       (9, 3, 'Novels'), (10, 3, 'Maps'), (11, 4, 'Kites 🪁'), (12, 4, 'Puzzles');

CREATE TABLE products (
    id          INT PRIMARY KEY,
    sku         VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    category_id INT NOT NULL,
    name        VARCHAR(120) NOT NULL,
    -- Text, because the first import came from a spreadsheet.
    price       VARCHAR(20) NOT NULL,
    weight_kg   FLOAT,
    added_on    DATE NOT NULL,
    UNIQUE KEY products_sku (sku),
    CONSTRAINT products_category FOREIGN KEY (category_id) REFERENCES categories (id)
);

INSERT INTO products (id, sku, category_id, name, price, weight_kg, added_on)
WITH digits (d) AS (
    SELECT 0 UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
    UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9
),
n (i) AS (
    SELECT 1 + ones.d + tens.d * 10 + hundreds.d * 100 + thousands.d * 1000
    FROM digits AS ones CROSS JOIN digits AS tens CROSS JOIN digits AS hundreds CROSS JOIN digits AS thousands
)
SELECT i,
       CONCAT('SKU-', LPAD(i * 7, 5, '0')),
       5 + i % 8,
       CONCAT('Article no. ', i),
       CONCAT(1 + i * 17 % 240, '.', LPAD(i * 29 % 100, 2, '0')),
       CASE WHEN i % 6 <> 0 THEN (i * 53 % 4000) / 128.0 END,
       DATE '2021-01-04' + INTERVAL (i * 3 % 900) DAY
FROM n
WHERE i <= 1500;
