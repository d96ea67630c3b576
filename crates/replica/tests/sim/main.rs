//! `Control` under simulated churn: every failure prints its seed.

mod checks;
mod records;
mod scenarios;
mod world;
