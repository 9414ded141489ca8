DROP INDEX `products by name` ON products;
ALTER TABLE customers DROP INDEX customers_by_folded_email, DROP COLUMN folded_email;
DROP INDEX orders_open ON orders;
DROP INDEX orders_by_day ON orders;
