DROP INDEX comments_newest;
