use clap::Args;
use client::message::{ChordTable, TablePeer, TableResponse, table_response};
use serde::Serialize;

use crate::columns::Columns;
use crate::context::Context;
use crate::digits::{Digits, short};
use crate::exit::{Failure, Result};
use crate::output::{Paint, duration_us};

/// Show a node's own routing state
#[derive(Args, Debug)]
pub(crate) struct Table {}

/// A peer as tables show it.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
struct Entry {
    id: String,
    addr: String,
    rtt_us: Option<u64>,
}

#[derive(Serialize, Debug)]
struct ChordJson {
    id: String,
    predecessor: Option<Entry>,
    successors: Vec<Entry>,
    fingers: Vec<FingerJson>,
}

#[derive(Serialize, Debug)]
struct FingerJson {
    start: String,
    node: Option<Entry>,
}

impl Table {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let client = context.client()?;
        let answer = client.table().await?;
        let me = answer.me.as_ref().map(|me| &me.id[..]);
        let digits = Digits::of(&client, me).await;
        match &answer.table {
            Some(table_response::Table::Chord(table)) => {
                context.out.show(&ChordJson::new(&answer, table, digits)?, chord_text)
            }
            None => Err(Failure::other("the node shows a table that this `dht` does not know: is it newer?")),
        }
    }
}

impl Entry {
    fn new(entry: &TablePeer, digits: Digits) -> Option<Self> {
        let peer = entry.peer.as_ref()?;
        Some(Self { id: digits.show(&peer.id), addr: peer.addr.clone(), rtt_us: entry.rtt_us })
    }

    fn cells(entry: Option<&Self>, paint: Paint) -> [String; 3] {
        match entry {
            None => [paint.dim("-"), String::new(), String::new()],
            Some(Self { id, addr, rtt_us }) => [short(id), addr.clone(), rtt_us.map_or_else(String::new, duration_us)],
        }
    }
}

impl ChordJson {
    fn new(answer: &TableResponse, table: &ChordTable, digits: Digits) -> Result<Self> {
        let me = answer.me.as_ref();
        let me = me.ok_or_else(|| Failure::other("the node answered without saying who it is"))?;
        let entry = |entry: Option<&TablePeer>| entry.and_then(|entry| Entry::new(entry, digits));
        let finger = |finger: &client::message::ChordFinger| FingerJson {
            start: digits.show(&finger.start),
            node: entry(finger.node.as_ref()),
        };
        Ok(Self {
            id: digits.show(&me.id),
            predecessor: entry(table.predecessor.as_ref()),
            successors: table.successors.iter().filter_map(|successor| entry(Some(successor))).collect(),
            fingers: table.fingers.iter().map(finger).collect(),
        })
    }
}

fn chord_text(table: &ChordJson, paint: Paint) -> String {
    let mut columns = Columns::new(&["", ">", "node", "address", ">rtt"]);
    let mut line = |label: &str, place: String, entry: Option<&Entry>| {
        let [node, addr, rtt] = Entry::cells(entry, paint);
        columns.row([label.to_owned(), place, node, addr, rtt]);
    };
    line("predecessor", String::new(), table.predecessor.as_ref());
    for (place, successor) in table.successors.iter().enumerate() {
        let label = if place == 0 { "successors" } else { "" };
        line(label, (place + 1).to_string(), Some(successor));
    }
    for (run, (first, last, node)) in finger_runs(&table.fingers).into_iter().enumerate() {
        let label = if run == 0 { "fingers" } else { "" };
        let place = if first == last { first.to_string() } else { format!("{first}-{last}") };
        line(label, place, node);
    }
    format!("{}\n{}", paint.bold(&table.id), columns.render(2))
}

/// Neighbouring fingers mostly point to the same node: one line for each run of them, numbered from 1 as in the paper.
fn finger_runs(fingers: &[FingerJson]) -> Vec<(usize, usize, Option<&Entry>)> {
    let mut runs: Vec<(usize, usize, Option<&Entry>)> = Vec::new();
    for (place, finger) in fingers.iter().enumerate() {
        let node = finger.node.as_ref();
        match runs.last_mut() {
            Some((_, last, same)) if *same == node => *last = place + 1,
            _ => runs.push((place + 1, place + 1, node)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use client::message::{ChordFinger, Peer};

    use super::*;

    fn entry(id: u8) -> Option<TablePeer> {
        let peer = Peer { id: vec![id].into(), addr: format!("127.0.0.1:{}", 7000 + u32::from(id)), incarnation: 1 };
        Some(TablePeer { peer: Some(peer), rtt_us: Some(450) })
    }

    fn table() -> ChordJson {
        let fingers = [(9, 14), (10, 14), (12, 14), (16, 21), (24, 32), (40, 42)];
        let finger = |(start, node): (u8, u8)| ChordFinger { start: vec![start].into(), node: entry(node) };
        let chord = ChordTable {
            predecessor: None,
            successors: vec![entry(14).unwrap(), entry(21).unwrap()],
            fingers: fingers.map(finger).to_vec(),
        };
        let answer = TableResponse { me: entry(8).unwrap().peer, table: None };
        ChordJson::new(&answer, &chord, Digits::of_bits(6)).unwrap()
    }

    #[test]
    fn fingers_that_point_to_the_same_node_share_a_line() {
        let expected = "\
08
                    node  address            rtt
  predecessor       -
  successors     1  0e    127.0.0.1:7014  450 µs
                 2  15    127.0.0.1:7021  450 µs
  fingers      1-3  0e    127.0.0.1:7014  450 µs
                 4  15    127.0.0.1:7021  450 µs
                 5  20    127.0.0.1:7032  450 µs
                 6  2a    127.0.0.1:7042  450 µs
";
        assert_eq!(chord_text(&table(), Paint::PLAIN), expected);
    }

    #[test]
    fn json_lists_all_fingers_in_order() {
        let json = serde_json::to_value(table()).unwrap();
        assert_eq!(json["predecessor"], serde_json::Value::Null);
        assert_eq!(json["fingers"].as_array().unwrap().len(), 6);
        assert_eq!(
            json["fingers"][0].to_string(),
            r#"{"node":{"addr":"127.0.0.1:7014","id":"0e","rtt_us":450},"start":"09"}"#
        );
        assert_eq!(json["successors"][1]["id"], "15");
    }
}
