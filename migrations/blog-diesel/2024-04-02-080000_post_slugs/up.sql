ALTER TABLE posts ADD COLUMN slug TEXT;
UPDATE posts SET slug = replace(lower(title), ' ', '-');
