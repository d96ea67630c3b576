//! Histories that are right, and histories that are wrong and why.

mod right;
mod wrong;
