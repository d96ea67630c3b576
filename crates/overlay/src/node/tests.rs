//! Whole nodes over a toy overlay, in virtual time.

mod going;
mod lookups;
mod relaying;
mod rings;
mod starting;
mod world;
