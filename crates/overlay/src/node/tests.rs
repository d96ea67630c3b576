//! Whole nodes over a toy overlay, in virtual time.

mod going;
mod lookups;
mod rings;
mod starting;
mod world;
