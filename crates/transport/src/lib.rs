//! Placeholder while the shape is laid.
