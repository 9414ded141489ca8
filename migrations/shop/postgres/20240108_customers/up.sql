CREATE TABLE customers (
    id           integer PRIMARY KEY,
    email        text NOT NULL UNIQUE,
    name         text NOT NULL,
    city         text,
    phone        text,
    -- From the old shop, as people typed it. Nobody has reached these numbers in years.
    legacy_phone text,
    created_at   timestamp NOT NULL
);

COMMENT ON COLUMN customers.legacy_phone IS 'as typed; don''t call';

CREATE INDEX customers_by_legacy_phone ON customers (legacy_phone) WHERE legacy_phone IS NOT NULL;

-- 8,000 customers, the same ones on every machine.
WITH given (k, name) AS (
    VALUES (0, 'Ada'), (1, 'Bo'), (2, 'Chidi'), (3, 'Dvořák'), (4, 'Émile'), (5, 'Fatima'),
           (6, 'Gül'), (7, 'Hiro'), (8, 'Ìfẹ́'), (9, 'José'), (10, '小芳')
),
family (k, name) AS (
    VALUES (0, 'O''Brien'), (1, 'van der Berg'), (2, 'Müller'), (3, 'García'), (4, 'Nakamura'),
           (5, 'Okafor'), (6, 'Smith'), (7, 'Łukasik'), (8, '"Mac" Donald'), (9, 'Ng'),
           (10, 'Иванова'), (11, 'Silva'), (12, 'de la Cruz')
),
cities (k, name) AS (
    VALUES (0, 'Lisbon'), (1, 'Kraków'), (2, 'Osaka'), (3, 'Lagos'), (4, 'São Paulo'), (5, NULL), (6, 'Gdańsk')
)
INSERT INTO customers (id, email, name, city, phone, legacy_phone, created_at)
SELECT i,
       -- One in nine was typed with capital letters or a blank at the end.
       CASE WHEN i % 9 = 0 THEN 'Customer.' || i || '@Example.COM'
            WHEN i % 9 = 4 THEN 'customer.' || i || '@example.com '
            ELSE 'customer.' || i || '@example.com' END,
       given.name || ' ' || family.name,
       cities.name,
       CASE WHEN i % 3 <> 0 THEN '+48 ' || to_char(i * 7 % 1000, 'FM000') || ' ' || to_char(i * 13 % 1000, 'FM000') END,
       CASE WHEN i % 4 = 0 THEN '(' || i % 97 || ') ' || i * 31 % 9000 || ' / ' || i
            WHEN i % 4 = 1 THEN ''
            ELSE NULL END,
       timestamp '2021-03-01' + make_interval(days => i * 37 % 1000, secs => i * 911 % 86400)
FROM generate_series(1, 8000) AS n (i)
JOIN given ON given.k = i % 11
JOIN family ON family.k = i * 5 % 13
JOIN cities ON cities.k = i * 3 % 7;
