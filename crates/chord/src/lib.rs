//! Chord in Zave's corrected form.
mod message;
pub use message::*;
