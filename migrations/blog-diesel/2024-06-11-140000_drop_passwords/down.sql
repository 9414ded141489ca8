-- The column comes back, the passwords do not: what most downs of a dropped column look like.
ALTER TABLE users ADD COLUMN password TEXT NOT NULL DEFAULT '';
