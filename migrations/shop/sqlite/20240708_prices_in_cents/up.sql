-- Prices become whole cents. SQLite cannot change the type of a column, so the table is built anew, the way
-- its documentation asks: foreign keys off, new table, copy, drop, rename, and what depended on it again.
PRAGMA foreign_keys = OFF;

DROP VIEW best_sellers;

CREATE TABLE products_new (
    id          INTEGER PRIMARY KEY,
    sku         TEXT NOT NULL UNIQUE,
    category_id INTEGER NOT NULL REFERENCES categories (id),
    name        TEXT NOT NULL,
    price_cents INTEGER NOT NULL CHECK (price_cents >= 0),
    weight_kg   REAL,
    added_on    TEXT NOT NULL
);

INSERT INTO products_new (id, sku, category_id, name, price_cents, weight_kg, added_on)
SELECT id,
       sku,
       category_id,
       name,
       CAST(substr(price, 1, instr(price, '.') - 1) AS INTEGER) * 100
           + CAST(substr(price, instr(price, '.') + 1) AS INTEGER),
       weight_kg,
       added_on
FROM products;

DROP TABLE products;
ALTER TABLE products_new RENAME TO products;

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
