CREATE TABLE reviews (
    id          INTEGER PRIMARY KEY,
    product_id  INTEGER NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    customer_id INTEGER REFERENCES customers (id) ON DELETE SET NULL,
    stars       INTEGER NOT NULL CHECK (stars BETWEEN 1 AND 5),
    body        TEXT,
    written_on  TEXT NOT NULL,
    UNIQUE (product_id, customer_id)
);

WITH RECURSIVE n (i) AS (
    SELECT 1
    UNION ALL
    SELECT i + 1 FROM n WHERE i < 9000
)
INSERT INTO reviews (id, product_id, customer_id, stars, body, written_on)
SELECT i,
       1 + i % 1500,
       CASE WHEN i % 13 <> 0 THEN 1 + i * 101 % 8000 END,
       1 + i * 7 % 5,
       CASE i % 6 WHEN 0 THEN NULL
                  WHEN 1 THEN 'It does what it says.'
                  WHEN 2 THEN 'Arrived late; otherwise fine'
                  WHEN 3 THEN '素晴らしい 👍🏽'
                  WHEN 4 THEN ''
                  ELSE 'No complaints -- would buy again' || char(10) || '5/5' END,
       date('2022-02-01', '+' || (i * 5 % 690) || ' days')
FROM n;

CREATE INDEX reviews_worth_an_answer ON reviews (written_on) WHERE stars <= 2 AND body IS NOT NULL;
