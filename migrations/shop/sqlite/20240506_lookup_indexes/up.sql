CREATE INDEX orders_by_customer ON orders (customer_id, ordered_at DESC);
CREATE INDEX orders_open ON orders (ordered_at) WHERE status IN ('new', 'paid');
CREATE INDEX order_items_by_product ON order_items (product_id);
CREATE INDEX customers_by_folded_email ON customers (lower(trim(email)));
CREATE INDEX "products by name" ON products (name COLLATE NOCASE);
