PRAGMA foreign_keys = OFF;

DROP VIEW best_sellers;

CREATE TABLE products_old (
    id          INTEGER PRIMARY KEY,
    sku         TEXT NOT NULL UNIQUE,
    category_id INTEGER NOT NULL REFERENCES categories (id),
    name        TEXT NOT NULL,
    -- Text, because the first import came from a spreadsheet.
    price       TEXT NOT NULL,
    weight_kg   REAL,
    added_on    TEXT NOT NULL
);

INSERT INTO products_old (id, sku, category_id, name, price, weight_kg, added_on)
SELECT id, sku, category_id, name, printf('%d.%02d', price_cents / 100, price_cents % 100), weight_kg, added_on
FROM products;

DROP TABLE products;
ALTER TABLE products_old RENAME TO products;

CREATE INDEX "products by name" ON products (name COLLATE NOCASE);

CREATE VIEW best_sellers AS
SELECT products.id AS product_id,
       products.name,
       sum(order_items.quantity) AS sold
FROM products
JOIN order_items ON order_items.product_id = products.id
GROUP BY products.id
ORDER BY sold DESC;

PRAGMA foreign_keys = ON;
