CREATE TABLE inventory (
    product_id INT NOT NULL,
    warehouse  VARCHAR(40) NOT NULL,
    on_hand    INT NOT NULL,
    reserved   INT NOT NULL DEFAULT 0,
    available  INT GENERATED ALWAYS AS (on_hand - reserved) STORED,
    shelf      VARCHAR(60) GENERATED ALWAYS AS (CONCAT(warehouse, '/', LPAD(product_id % 977, 4, '0'))) VIRTUAL,
    PRIMARY KEY (product_id, warehouse),
    CONSTRAINT inventory_product FOREIGN KEY (product_id) REFERENCES products (id) ON DELETE CASCADE,
    CONSTRAINT inventory_on_hand CHECK (on_hand >= 0)
);

INSERT INTO inventory (product_id, warehouse, on_hand, reserved)
SELECT products.id,
       places.warehouse,
       products.id * 19 % 200,
       products.id * 19 % 200 DIV 7
FROM products
JOIN (SELECT 'north' AS warehouse, 0 AS k UNION ALL SELECT 'south', 1 UNION ALL SELECT 'Übersee', 2) AS places
  ON places.k <= products.id % 3;
