CREATE TABLE inventory (
    product_id INTEGER NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    warehouse  TEXT NOT NULL,
    on_hand    INTEGER NOT NULL CHECK (on_hand >= 0),
    reserved   INTEGER NOT NULL DEFAULT 0,
    available  INTEGER GENERATED ALWAYS AS (on_hand - reserved) STORED,
    shelf      TEXT GENERATED ALWAYS AS (warehouse || '/' || printf('%04d', product_id % 977)) VIRTUAL,
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
