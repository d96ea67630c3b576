//! Who holds a record. Pure.
mod control;
mod message;
pub use control::*;
pub use message::*;
