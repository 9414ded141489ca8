-- Who changed an order, and when: written by a trigger, so that no code path forgets it.
CREATE TABLE order_events (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id   INTEGER NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    old_status TEXT,
    new_status TEXT NOT NULL,
    reason     TEXT,
    noted_at   TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);

INSERT INTO order_events (order_id, old_status, new_status, noted_at)
SELECT id, NULL, 'new', ordered_at FROM orders ORDER BY id;

CREATE TRIGGER orders_note_status
AFTER UPDATE OF status ON orders
FOR EACH ROW WHEN old.status IS NOT new.status
BEGIN
    INSERT INTO order_events (order_id, old_status, new_status, reason)
    VALUES (new.id, old.status, new.status, CASE new.status WHEN 'returned' THEN 'sent back; refund due' END);
END;

CREATE TRIGGER orders_note_new
AFTER INSERT ON orders
BEGIN
    INSERT INTO order_events (order_id, old_status, new_status)
    VALUES (new.id, NULL, new.status);
END;
