//! Kills a scenario at each of its durable steps, and looks at what is left.
