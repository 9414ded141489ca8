-- The old shop is switched off. There is no down.sql here, as in so many real histories: nobody wrote one,
-- and no SQL could bring these values back. `walkback rollback` still can.
DROP INDEX customers_by_legacy_phone;
ALTER TABLE customers DROP COLUMN legacy_phone;
DROP TABLE legacy_carts;
