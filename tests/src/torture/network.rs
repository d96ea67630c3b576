//! The network between the daemons and their clocks, made to misbehave by their files of faults.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Who reaches whom, what gets lost, and which clock is wrong.
#[derive(Debug)]
pub(super) struct Network {
    nodes: Vec<Node>,
    lose: f64,
    delay: Duration,
}

#[derive(Debug)]
struct Node {
    addr: String,
    file: PathBuf,
    /// Those on one side reach each other.
    side: u32,
    clock_ms: i64,
    written: String,
}

impl Network {
    /// Where a daemon finds its faults.
    pub(super) fn file(dir: &Path, index: usize) -> PathBuf {
        dir.join(format!("node{index}.faults"))
    }

    pub(super) fn new(dir: &Path, addrs: Vec<String>) -> Self {
        let node = |(index, addr)| {
            let file = Self::file(dir, index);
            Node { addr, file, side: 0, clock_ms: 0, written: String::new() }
        };
        let nodes = addrs.into_iter().enumerate().map(node).collect();
        Self { nodes, lose: 0.0, delay: Duration::ZERO }
    }

    /// Moves these nodes to a side of the network; 0 is the one where all are at first.
    pub(super) fn set_side(&mut self, nodes: &[usize], side: u32) {
        for index in nodes {
            self.nodes[*index].side = side;
        }
        self.write();
    }

    /// Has this share of all calls lost, and all delayed by up to so long.
    pub(super) fn set_weather(&mut self, lose: f64, delay: Duration) {
        (self.lose, self.delay) = (lose, delay);
        self.write();
    }

    /// Sets a node's clock so far ahead.
    pub(super) fn set_clock(&mut self, index: usize, ms: i64) {
        self.nodes[index].clock_ms = ms;
        self.write();
    }

    /// Everything is as it should be.
    pub(super) fn heal(&mut self) {
        for node in &mut self.nodes {
            (node.side, node.clock_ms) = (0, 0);
        }
        self.set_weather(0.0, Duration::ZERO);
    }

    /// Tells the daemons what has changed. They see a file as it was or as it is, never half of it.
    fn write(&mut self) {
        let texts: Vec<String> = self.nodes.iter().map(|node| self.faults_of(node)).collect();
        for (node, text) in self.nodes.iter_mut().zip(texts) {
            if node.written == text {
                continue;
            }
            let beside = node.file.with_extension("new");
            let put = fs::write(&beside, &text).and_then(|()| fs::rename(&beside, &node.file));
            put.unwrap_or_else(|error| panic!("{}: {error}", node.file.display()));
            node.written = text;
        }
    }

    fn faults_of(&self, node: &Node) -> String {
        let mut text = String::new();
        let cut = self.nodes.iter().filter(|other| other.side != node.side);
        cut.for_each(|other| writeln!(text, "cut {}", other.addr).expect("text takes text"));
        if self.lose > 0.0 {
            writeln!(text, "lose {}", self.lose).expect("text takes text");
        }
        if !self.delay.is_zero() {
            writeln!(text, "delay {}ms", self.delay.as_millis()).expect("text takes text");
        }
        if node.clock_ms != 0 {
            writeln!(text, "clock {:+}ms", node.clock_ms).expect("text takes text");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_written_on_both_sides_and_healed_on_both() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let addrs = ["a:1", "b:2", "c:3"].map(str::to_owned).to_vec();
        let mut network = Network::new(dir.path(), addrs);
        let texts = || [0, 1, 2].map(|index| fs::read_to_string(Network::file(dir.path(), index)).unwrap_or_default());
        network.set_side(&[0], 1);
        assert_eq!(texts(), ["cut b:2\ncut c:3\n", "cut a:1\n", "cut a:1\n"]);
        network.set_side(&[2], 1);
        assert_eq!(texts(), ["cut b:2\n", "cut a:1\ncut c:3\n", "cut b:2\n"]);
        network.set_weather(0.05, Duration::from_millis(20));
        network.set_clock(1, -250);
        assert_eq!(texts()[1], "cut a:1\ncut c:3\nlose 0.05\ndelay 20ms\nclock -250ms\n");
        network.heal();
        assert_eq!(texts(), [""; 3]);
    }
}
