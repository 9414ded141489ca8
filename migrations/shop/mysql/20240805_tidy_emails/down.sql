DROP INDEX customers_one_account_each ON customers;

-- An address that was changed since stays as it is now.
UPDATE customers
JOIN customers_email_as_typed AS typed ON typed.customer_id = customers.id
SET customers.email = typed.email
WHERE LOWER(TRIM(typed.email)) = customers.email;

DROP TABLE customers_email_as_typed;
