-- Addresses in one spelling. What they were is kept beside them, so that the way back is exact.
CREATE TABLE customers_email_as_typed (
    customer_id INT PRIMARY KEY,
    email       VARCHAR(120) NOT NULL,
    CONSTRAINT email_as_typed_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE
);

-- Compared as bytes: to the usual collation a capital letter is no difference.
INSERT INTO customers_email_as_typed (customer_id, email)
SELECT id, email FROM customers WHERE CAST(email AS BINARY) <> CAST(LOWER(TRIM(email)) AS BINARY);

UPDATE customers SET email = LOWER(TRIM(email)) WHERE CAST(email AS BINARY) <> CAST(LOWER(TRIM(email)) AS BINARY);

CREATE UNIQUE INDEX customers_one_account_each ON customers (folded_email);
