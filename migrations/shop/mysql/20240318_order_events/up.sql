-- Who changed an order, and when: written by a trigger, so that no code path forgets it.
CREATE TABLE order_events (
    id         INT AUTO_INCREMENT PRIMARY KEY,
    order_id   INT NOT NULL,
    old_status ENUM ('new', 'paid', 'sent', 'returned'),
    new_status ENUM ('new', 'paid', 'sent', 'returned') NOT NULL,
    reason     VARCHAR(80),
    noted_at   TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    CONSTRAINT order_events_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE
);

INSERT INTO order_events (order_id, old_status, new_status, noted_at)
SELECT id, NULL, 'new', ordered_at FROM orders ORDER BY id;

DELIMITER //

CREATE TRIGGER orders_note_status
AFTER UPDATE ON orders
FOR EACH ROW
BEGIN
    IF NOT (OLD.status <=> NEW.status) THEN
        INSERT INTO order_events (order_id, old_status, new_status, reason)
        VALUES (NEW.id, OLD.status, NEW.status, CASE NEW.status WHEN 'returned' THEN 'sent back; refund due' END);
    END IF;
END//

CREATE TRIGGER orders_note_new
AFTER INSERT ON orders
FOR EACH ROW
BEGIN
    INSERT INTO order_events (order_id, old_status, new_status)
    VALUES (NEW.id, NULL, NEW.status);
END//

DELIMITER ;
