//! [`replica::Control`] under simulated churn, in virtual time. Every failure prints its seed:
//! `SEED=7 TRACE=1 cargo test -p dht-replica --test sim -- some_story` tells that run call by call, with `KEY=10` also who
//! has what of that key, and `SEEDS=1000 cargo test …` tells every story a thousand times.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod checks;
mod clients;
mod deletes;
mod deletions;
mod holders;
mod late;
mod network;
mod overlay_view;
mod processes;
mod records;
mod scenarios;
mod small;
mod strays;
mod transfers;
mod world;
