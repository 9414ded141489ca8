DROP INDEX comments_by_post;
DROP TABLE comments;
