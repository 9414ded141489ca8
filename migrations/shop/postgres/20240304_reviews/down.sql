DROP TABLE reviews;
DROP DOMAIN stars;
