-- Addresses in one spelling. What they were is kept beside them, so that the way back is exact.
CREATE TABLE customers_email_as_typed (
    customer_id integer PRIMARY KEY REFERENCES customers (id) ON DELETE CASCADE,
    email       text NOT NULL
);

INSERT INTO customers_email_as_typed (customer_id, email)
SELECT id, email FROM customers WHERE email <> lower(trim(email));

UPDATE customers SET email = lower(trim(email)) WHERE email <> lower(trim(email));

CREATE UNIQUE INDEX customers_one_account_each ON customers (lower(email));
