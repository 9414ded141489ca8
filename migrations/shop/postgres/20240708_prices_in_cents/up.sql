-- Prices become whole cents.
ALTER TABLE products ALTER COLUMN price TYPE integer USING (price::numeric * 100)::integer;
ALTER TABLE products RENAME COLUMN price TO price_cents;
ALTER TABLE products ADD CONSTRAINT products_price_cents_check CHECK (price_cents >= 0);
