//! Twenty seconds of everything for each overlay: what clients were told is right, and the rig does its work. For
//! longer, and with the release build: `cargo xtask torture`.

use std::time::Duration;

use harness::Protocol;
use harness::torture::{Faults, Torture};

const CHORD: Protocol = Protocol::Chord;
const PASTRY: Protocol = Protocol::Pastry;
const KELIPS: Protocol = Protocol::Kelips { groups: 2 };

/// Six nodes, of which two suffer at a time: a range may well be without a majority for some seconds, so that how many
/// reads are answered says little here.
#[track_caller]
fn survives(protocol: Protocol, seed: u64) {
    let faults = Faults { crashes: true, pauses: true, partitions: true, loss: true, skew: true };
    let (duration, nodes, keys) = (Duration::from_secs(20), 6, 300);
    let torture = Torture { duration, nodes, keys, faults, reads_answered: 0.0, ..Torture::new(protocol, seed) };
    let outcome = torture.run(|what| println!("{what}"));
    println!("{}", outcome.text());
    assert!(outcome.kept_its_promises());
    for kind in ["crashes", "pauses", "partitions", "losses", "skews"] {
        assert!(outcome.faults.get(kind).is_some_and(|count| *count > 0), "no {kind}: {:?}", outcome.faults);
    }
    let (acknowledged, (_, answered)) = (outcome.acknowledged(), outcome.reads);
    assert!(acknowledged >= 300 && answered >= 300, "{acknowledged} writes acknowledged, {answered} reads answered");
}

#[test]
fn chord_keeps_its_promises_whatever_happens() {
    survives(CHORD, 1);
}

#[test]
fn pastry_keeps_its_promises_whatever_happens() {
    survives(PASTRY, 1);
}

#[test]
fn kelips_keeps_its_promises_whatever_happens() {
    survives(KELIPS, 1);
}
