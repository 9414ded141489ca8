ALTER TABLE products DROP CONSTRAINT products_price_cents_check;
ALTER TABLE products RENAME COLUMN price_cents TO price;
ALTER TABLE products ALTER COLUMN price TYPE text USING price / 100 || '.' || to_char(price % 100, 'FM00');
