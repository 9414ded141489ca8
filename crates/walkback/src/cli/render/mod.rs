//! What is printed for a person. Every function returns text; only `output` prints.

pub(crate) mod error;
pub(crate) mod graph;
pub(crate) mod junit;
pub(crate) mod load;
pub(crate) mod plan;
pub(crate) mod report;
pub(crate) mod sql;
pub(crate) mod style;
pub(crate) mod table;
