-- A big table would be indexed outside of a transaction; metadata.toml says so to diesel, and to walkback.
CREATE INDEX comments_newest ON comments (post_id, id DESC);
