-- walkback: transaction=off
-- The shop is open while these are built.
CREATE INDEX CONCURRENTLY orders_by_customer ON orders (customer_id, ordered_at DESC);
CREATE INDEX CONCURRENTLY orders_open ON orders (ordered_at) WHERE status IN ('new', 'paid');
CREATE INDEX CONCURRENTLY order_items_by_product ON order_items (product_id) INCLUDE (quantity);
CREATE INDEX CONCURRENTLY customers_by_folded_email ON customers (lower(trim(email)));
CREATE INDEX CONCURRENTLY "products by name" ON products (name COLLATE "C");
