CREATE TABLE reviews (
    id          INT PRIMARY KEY,
    product_id  INT NOT NULL,
    customer_id INT,
    stars       TINYINT UNSIGNED NOT NULL,
    body        TEXT,
    written_on  DATE NOT NULL,
    UNIQUE KEY reviews_once (product_id, customer_id),
    CONSTRAINT reviews_product FOREIGN KEY (product_id) REFERENCES products (id) ON DELETE CASCADE,
    CONSTRAINT reviews_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE SET NULL,
    CONSTRAINT reviews_stars CHECK (stars BETWEEN 1 AND 5)
);

INSERT INTO reviews (id, product_id, customer_id, stars, body, written_on)
WITH digits (d) AS (
    SELECT 0 UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
    UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9
),
n (i) AS (
    SELECT 1 + ones.d + tens.d * 10 + hundreds.d * 100 + thousands.d * 1000
    FROM digits AS ones CROSS JOIN digits AS tens CROSS JOIN digits AS hundreds CROSS JOIN digits AS thousands
)
SELECT i,
       1 + i % 1500,
       CASE WHEN i % 13 <> 0 THEN 1 + i * 101 % 8000 END,
       1 + i * 7 % 5,
       CASE i % 6 WHEN 0 THEN NULL
                  WHEN 1 THEN 'It does what it says.'
                  WHEN 2 THEN 'Arrived late; otherwise fine'
                  WHEN 3 THEN '素晴らしい 👍🏽'
                  WHEN 4 THEN ''
                  ELSE 'No complaints -- would buy again\n5/5' END,
       DATE '2022-02-01' + INTERVAL (i * 5 % 690) DAY
FROM n
WHERE i <= 9000;

CREATE INDEX reviews_worth_an_answer ON reviews (written_on, stars);
