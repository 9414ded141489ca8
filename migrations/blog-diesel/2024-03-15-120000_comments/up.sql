CREATE TABLE comments (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    post_id INTEGER NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    body    TEXT NOT NULL
);

CREATE INDEX comments_by_post ON comments (post_id);

INSERT INTO comments (post_id, body) VALUES (1, 'First!'), (1, 'Second'), (2, 'Show us the log book.');
