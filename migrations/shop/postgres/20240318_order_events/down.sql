DROP TRIGGER orders_note_new ON orders;
DROP TRIGGER orders_note_status ON orders;
DROP FUNCTION note_order();
DROP TABLE order_events;
