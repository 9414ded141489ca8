ALTER TABLE products ADD COLUMN price VARCHAR(20) NOT NULL DEFAULT '' AFTER name;
UPDATE products SET price = CONCAT(price_cents DIV 100, '.', LPAD(price_cents % 100, 2, '0'));
ALTER TABLE products
    DROP CONSTRAINT products_price_cents,
    DROP COLUMN price_cents,
    ALTER COLUMN price DROP DEFAULT;
