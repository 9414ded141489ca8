CREATE TABLE inventory (
    product_id integer NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    warehouse  varchar(40) NOT NULL,
    on_hand    integer NOT NULL CHECK (on_hand >= 0),
    reserved   integer NOT NULL DEFAULT 0,
    available  integer GENERATED ALWAYS AS (on_hand - reserved) STORED,
    shelf      text GENERATED ALWAYS AS (warehouse || '/' || lpad((product_id % 977)::text, 4, '0')) STORED,
    PRIMARY KEY (product_id, warehouse)
);

INSERT INTO inventory (product_id, warehouse, on_hand, reserved)
SELECT products.id,
       places.warehouse,
       products.id * 19 % 200,
       products.id * 19 % 200 / 7
FROM products
JOIN (SELECT 'north' AS warehouse, 0 AS k UNION ALL SELECT 'south', 1 UNION ALL SELECT 'Übersee', 2) AS places
  ON places.k <= products.id % 3;
