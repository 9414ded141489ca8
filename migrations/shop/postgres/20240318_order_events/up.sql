-- Who changed an order, and when: written by a trigger, so that no code path forgets it.
CREATE TABLE order_events (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id   integer NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    old_status order_status,
    new_status order_status NOT NULL,
    reason     text,
    noted_at   timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
);

INSERT INTO order_events (order_id, old_status, new_status, noted_at)
SELECT id, NULL, 'new', ordered_at FROM orders ORDER BY id;

CREATE FUNCTION note_order() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF tg_op = 'INSERT' THEN
        INSERT INTO order_events (order_id, old_status, new_status) VALUES (new.id, NULL, new.status);
    ELSE
        INSERT INTO order_events (order_id, old_status, new_status, reason)
        VALUES (new.id, old.status, new.status, CASE new.status WHEN 'returned' THEN 'sent back; refund due' END);
    END IF;
    RETURN NULL;
END;
$body$;

CREATE TRIGGER orders_note_status
AFTER UPDATE OF status ON orders
FOR EACH ROW WHEN (old.status IS DISTINCT FROM new.status)
EXECUTE FUNCTION note_order();

CREATE TRIGGER orders_note_new
AFTER INSERT ON orders
FOR EACH ROW EXECUTE FUNCTION note_order();
