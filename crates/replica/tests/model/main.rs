//! The change of a set, model-checked: every order of events in a small world whose processes are real
//! [`replica::Control`]s, and whose writes are counted by real quorums.
//!
//! One range, three to five processes, two who propose at the same time; calls arrive in any order, late or never;
//! anybody crashes at any moment, and comes back with its disk or not. Each world begins as in `scenario`; what may
//! happen in it is in `turn` and `data_path`, what must hold in every state of it in `check`. That the properties bite
//! is shown by `mutants`: each breaks one rule between the machines and the world, and is caught.
//!
//! What makes it small enough: a process is a function of its state and an input, and there are few of either, so that
//! each of its steps is carried out once and then looked up (`process`, `memory`); what can't make a difference is left
//! out of the comparison of states (`canonical`). Clocks stand still, but for waits that a scenario asks for.
//!
//! Not in it: cuts of ranges, leaving, going on without a majority, stores that come back empty, strays, superseded
//! versions and conditions, deletions, stand-ins, reads in several steps, quorums other than majorities. The randomised
//! simulation beside this has most of that.
//!
//! `cargo test -p dht-replica --test model -- --nocapture` prints how many states there were; `--ignored` explores
//! larger worlds; `STORIES=1` tells how each mutant is caught; `SHORTEST=1` looks for the shortest story where
//! something does not hold; `STATES=1000000` stops after so many steps.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod canonical;
mod check;
mod data_path;
mod intern;
mod memory;
mod mutants;
mod process;
mod scenario;
mod stories;
mod turn;
mod world;
