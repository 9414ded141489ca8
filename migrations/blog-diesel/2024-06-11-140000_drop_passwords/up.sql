-- Sign-in moved to another service.
ALTER TABLE users DROP COLUMN password;
