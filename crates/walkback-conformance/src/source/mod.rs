//! What every source must pass.
