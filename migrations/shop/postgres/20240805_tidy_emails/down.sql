DROP INDEX customers_one_account_each;

-- An address that was changed since stays as it is now.
UPDATE customers
SET email = (SELECT typed.email FROM customers_email_as_typed AS typed WHERE typed.customer_id = customers.id)
WHERE EXISTS (
    SELECT 1
    FROM customers_email_as_typed AS typed
    WHERE typed.customer_id = customers.id AND lower(trim(typed.email)) = customers.email
);

DROP TABLE customers_email_as_typed;
