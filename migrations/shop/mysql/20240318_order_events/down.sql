DROP TRIGGER orders_note_new;
DROP TRIGGER orders_note_status;
DROP TABLE order_events;
