//! Identifiers of *m* bits on a circle modulo 2^m.
//!
//! Every overlay here places nodes and keys on one circle of identifiers. A [`Space`] fixes *m*
//! (3 to 160 bits); an [`Id`] is a number in that space and carries its width, so that arithmetic
//! and printing need nothing else. Identifiers come from SHA-1, truncated to the leading *m* bits
//! (Chord, SIGCOMM 2001, §IV.A).
//!
//! ```
//! use ring::{Range, Space};
//!
//! let space = Space::new(7)?;
//! let (n80, n16) = (space.id(80)?, space.id(16)?);
//! assert_eq!(n80.distance_to(n16), space.id(64)?); // clockwise, over zero
//! assert!(Range::new(n80, n16).contains(space.id(3)?));
//! assert_eq!(n80.to_string(), "50");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod id;
mod places;
mod range;
mod space;

pub use id::Id;
pub use places::Places;
pub use range::{Range, between};
pub use space::{IdError, Space};
