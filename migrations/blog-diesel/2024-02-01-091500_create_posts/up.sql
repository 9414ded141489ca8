CREATE TABLE posts (
    id        INTEGER PRIMARY KEY,
    author_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title     TEXT NOT NULL,
    body      TEXT NOT NULL,
    published BOOLEAN NOT NULL DEFAULT FALSE
);

INSERT INTO posts (id, author_id, title, body, published)
VALUES (1, 1, 'On engines', 'A semicolon; in the text.', TRUE),
       (2, 2, 'On bugs', 'It was a moth 🦋', TRUE),
       (3, 1, 'Draft', '', FALSE);
