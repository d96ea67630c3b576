//! What goes over the wire comes back as it was, and nothing else gets through.

mod arbitrary;
mod malformed;
mod never_panics;
mod round_trip;
mod table;
