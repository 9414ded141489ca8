//! The layouts and directives of this source: what a folder of files becomes, and what is said about one that
//! is wrong.

mod directives;
mod folder;
mod names;
