//! What every adapter of walkback must pass, and the tools to see it.
//!
//! - [`store`], [`engine`] and [`source`]: one table of checks per contract. An adapter's whole test is a
//!   fixture and one call; see [`runner`].
//! - [`crash`]: runs a scenario again and again in a child process and kills it with `SIGKILL` at the first,
//!   second, .. k-th durable step, then looks at what is left.
//! - [`memory_store`]: a store in memory that is stricter than any real one, and can be told to misbehave, so
//!   that the checks themselves are tested.
//!
//! This crate is for tests: it prints, it panics, and it reads the environment.

pub mod crash;
pub mod engine;
pub mod memory_store;
pub mod runner;
pub mod source;
pub mod store;
