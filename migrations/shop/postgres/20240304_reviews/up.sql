CREATE DOMAIN stars AS smallint CHECK (value BETWEEN 1 AND 5);

CREATE TABLE reviews (
    id          integer PRIMARY KEY,
    product_id  integer NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    customer_id integer REFERENCES customers (id) ON DELETE SET NULL,
    stars       stars NOT NULL,
    body        text,
    written_on  date NOT NULL,
    UNIQUE (product_id, customer_id)
);

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
                  ELSE E'No complaints -- would buy again\n5/5' END,
       date '2022-02-01' + i * 5 % 690
FROM generate_series(1, 9000) AS n (i);

CREATE INDEX reviews_worth_an_answer ON reviews (written_on) WHERE stars <= 2 AND body IS NOT NULL;
