DROP INDEX "products by name";
DROP INDEX customers_by_folded_email;
DROP INDEX order_items_by_product;
DROP INDEX orders_open;
DROP INDEX orders_by_customer;
