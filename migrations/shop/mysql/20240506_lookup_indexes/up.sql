-- An index that starts with the column of a foreign key takes the place of the one that the server made for it by
-- itself, and cannot be dropped again. None of these does.
CREATE INDEX orders_by_day ON orders (ordered_at DESC, customer_id);
CREATE INDEX orders_open ON orders (status, ordered_at);
ALTER TABLE customers
    ADD COLUMN folded_email VARCHAR(120) GENERATED ALWAYS AS (LOWER(TRIM(email))) VIRTUAL,
    ADD INDEX customers_by_folded_email (folded_email);
CREATE INDEX `products by name` ON products (name(20));
