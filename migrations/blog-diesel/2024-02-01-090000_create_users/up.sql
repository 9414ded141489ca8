CREATE TABLE users (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    password TEXT NOT NULL
);

INSERT INTO users (id, name, password) VALUES (1, 'ada', 'x'), (2, 'grace', 'y'), (3, 'o''hara', 'z');
