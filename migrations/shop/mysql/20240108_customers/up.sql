CREATE TABLE customers (
    id           INT PRIMARY KEY,
    email        VARCHAR(120) NOT NULL,
    name         VARCHAR(120) NOT NULL,
    city         VARCHAR(60),
    phone        VARCHAR(40),
    -- From the old shop, as people typed it. Nobody has reached these numbers in years.
    legacy_phone VARCHAR(40) COMMENT 'as typed; don''t call',
    created_at   DATETIME NOT NULL,
    UNIQUE KEY customers_email (email)
);

CREATE INDEX customers_by_legacy_phone ON customers (legacy_phone);

# 8,000 customers, the same ones on every machine.
INSERT INTO customers (id, email, name, city, phone, legacy_phone, created_at)
WITH digits (d) AS (
    SELECT 0 UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
    UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9
),
n (i) AS (
    SELECT 1 + ones.d + tens.d * 10 + hundreds.d * 100 + thousands.d * 1000
    FROM digits AS ones CROSS JOIN digits AS tens CROSS JOIN digits AS hundreds CROSS JOIN digits AS thousands
),
given AS (
    SELECT 0 AS k, 'Ada' AS name
    UNION ALL SELECT 1, 'Bo'
    UNION ALL SELECT 2, 'Chidi'
    UNION ALL SELECT 3, 'Dvořák'
    UNION ALL SELECT 4, 'Émile'
    UNION ALL SELECT 5, 'Fatima'
    UNION ALL SELECT 6, 'Gül'
    UNION ALL SELECT 7, 'Hiro'
    UNION ALL SELECT 8, 'Ìfẹ́'
    UNION ALL SELECT 9, 'José'
    UNION ALL SELECT 10, '小芳'
),
family AS (
    SELECT 0 AS k, 'O''Brien' AS name
    UNION ALL SELECT 1, 'van der Berg'
    UNION ALL SELECT 2, 'Müller'
    UNION ALL SELECT 3, 'García'
    UNION ALL SELECT 4, 'Nakamura'
    UNION ALL SELECT 5, 'Okafor'
    UNION ALL SELECT 6, 'Smith'
    UNION ALL SELECT 7, 'Łukasik'
    UNION ALL SELECT 8, '"Mac" Donald'
    UNION ALL SELECT 9, 'Ng'
    UNION ALL SELECT 10, 'Иванова'
    UNION ALL SELECT 11, 'Silva'
    UNION ALL SELECT 12, 'de la Cruz'
),
cities AS (
    SELECT 0 AS k, 'Lisbon' AS name
    UNION ALL SELECT 1, 'Kraków'
    UNION ALL SELECT 2, 'Osaka'
    UNION ALL SELECT 3, 'Lagos'
    UNION ALL SELECT 4, 'São Paulo'
    UNION ALL SELECT 5, NULL
    UNION ALL SELECT 6, 'Gdańsk'
)
SELECT i,
       -- One in nine was typed with capital letters or a blank at the end.
       CASE WHEN i % 9 = 0 THEN CONCAT('Customer.', i, '@Example.COM')
            WHEN i % 9 = 4 THEN CONCAT('customer.', i, '@example.com ')
            ELSE CONCAT('customer.', i, '@example.com') END,
       CONCAT(given.name, ' ', family.name),
       cities.name,
       CASE WHEN i % 3 <> 0 THEN CONCAT('+48 ', LPAD(i * 7 % 1000, 3, '0'), ' ', LPAD(i * 13 % 1000, 3, '0')) END,
       CASE WHEN i % 4 = 0 THEN CONCAT('(', i % 97, ') ', i * 31 % 9000, ' / ', i)
            WHEN i % 4 = 1 THEN ''
            ELSE NULL END,
       TIMESTAMP '2021-03-01 00:00:00' + INTERVAL (i * 37 % 1000) DAY + INTERVAL (i * 911 % 86400) SECOND
FROM n
JOIN given ON given.k = i % 11
JOIN family ON family.k = i * 5 % 13
JOIN cities ON cities.k = i * 3 % 7
WHERE i <= 8000;
