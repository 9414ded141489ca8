-- walkback: transaction=off
DROP INDEX CONCURRENTLY "products by name";
DROP INDEX CONCURRENTLY customers_by_folded_email;
DROP INDEX CONCURRENTLY order_items_by_product;
DROP INDEX CONCURRENTLY orders_open;
DROP INDEX CONCURRENTLY orders_by_customer;
