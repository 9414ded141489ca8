-- Prices become whole cents: three statements, each of which is final as soon as it is done.
ALTER TABLE products ADD COLUMN price_cents INT NOT NULL DEFAULT 0 AFTER price;
UPDATE products SET price_cents = SUBSTRING_INDEX(price, '.', 1) * 100 + SUBSTRING_INDEX(price, '.', -1);
ALTER TABLE products
    DROP COLUMN price,
    ALTER COLUMN price_cents DROP DEFAULT,
    ADD CONSTRAINT products_price_cents CHECK (price_cents >= 0);
