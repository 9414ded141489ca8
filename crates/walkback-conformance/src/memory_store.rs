//! A store in memory that is stricter than any real one, and can be told to misbehave.
