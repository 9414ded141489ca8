CREATE VIEW order_totals AS
SELECT orders.id AS order_id,
       orders.customer_id,
       orders.ordered_at,
       sum(order_items.quantity * order_items.price_cents) AS total_cents
FROM orders
JOIN order_items ON order_items.order_id = orders.id
WHERE orders.status <> 'returned'
GROUP BY orders.id;

CREATE VIEW customer_totals AS
SELECT customers.id AS customer_id,
       customers.name,
       count(order_totals.order_id) AS orders,
       coalesce(sum(order_totals.total_cents), 0) AS total_cents
FROM customers
LEFT JOIN order_totals ON order_totals.customer_id = customers.id
GROUP BY customers.id;

CREATE VIEW best_sellers AS
SELECT products.id AS product_id,
       products.name,
       sum(order_items.quantity) AS sold
FROM products
JOIN order_items ON order_items.product_id = products.id
GROUP BY products.id
ORDER BY sold DESC;
