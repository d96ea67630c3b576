use clap::Args;
use overlay::Peer;
use overlay::inspect::{Line, Shown};
use ring::{Id, Space};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::columns::Columns;
use crate::context::Context;
use crate::digits::short;
use crate::exit::{Failure, Result};
use crate::output::{Paint, duration_us};
use crate::protocols::{self, RoutingTable};

/// Show a node's own routing state
#[derive(Args, Debug)]
pub(crate) struct Table {}

/// A table and whose it is.
#[derive(Debug)]
struct View {
    me: Id,
    table: RoutingTable,
}

/// A value of a table, on its way into JSON: names stay in the order in which the protocol puts them.
struct Value<'a>(&'a Shown, &'a RoutingTable);

/// A peer as tables show it.
#[derive(Serialize)]
struct Entry {
    id: String,
    addr: String,
    rtt_us: Option<u64>,
}

impl Table {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let client = context.client()?;
        let answer = client.table().await?;
        // Tells how wide identifiers are, and how to read them.
        let status = client.status().await?;
        let (Some(protocol), Some(shown)) = (protocols::find(&status.protocol), answer.table) else {
            return Err(Failure::other("the node shows a table that this `dht` does not know: is it newer?"));
        };
        let malformed = |why: String| Failure::other(format!("the node shows a malformed table: {why}"));
        let space = Space::new(status.id_bits).map_err(|error| malformed(error.to_string()))?;
        let me = answer.me.ok_or_else(|| Failure::other("the node answered without saying who it is"))?;
        let me = space.from_bytes(&me.id).map_err(|error| malformed(error.to_string()))?;
        let table = protocol.read(shown, space).map_err(|error| malformed(error.to_string()))?;
        context.out.show(&View { me, table }, text)
    }
}

impl Serialize for View {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.table.fields.len() + 1))?;
        map.serialize_entry("id", &self.me.to_string())?;
        for (name, value) in &self.table.fields {
            map.serialize_entry(name, &Value(value, &self.table))?;
        }
        map.end()
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Self(shown, table) = *self;
        match shown {
            Shown::Peer(peer) => peer.as_ref().map(|peer| Entry::new(peer, table)).serialize(serializer),
            Shown::Id(id) => serializer.collect_str(id),
            Shown::Number(number) => serializer.serialize_u64(*number),
            Shown::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(&Value(value, table))?;
                }
                list.end()
            }
            Shown::Fields(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, &Value(value, table))?;
                }
                map.end()
            }
        }
    }
}

impl Entry {
    fn new(peer: &Peer, table: &RoutingTable) -> Self {
        Self { id: peer.id.to_string(), addr: peer.addr.to_string(), rtt_us: table.rtt_us(peer) }
    }
}

fn text(view: &View, paint: Paint) -> String {
    let mut columns = Columns::new(&["", ">", "node", "address", ">rtt", ""]);
    for Line { label, place, peer, note } in &view.table.lines {
        let [node, addr, rtt] = match peer {
            None if note.is_empty() => [paint.dim("-"), String::new(), String::new()],
            None => [String::new(), String::new(), String::new()],
            Some(peer) => {
                let Entry { id, addr, rtt_us } = Entry::new(peer, &view.table);
                [short(&id), addr, rtt_us.map_or_else(|| "-".to_owned(), duration_us)]
            }
        };
        columns.row([label.clone(), place.clone(), node, addr, rtt, note.clone()]);
    }
    format!("{}\n{}", paint.bold(&view.me.to_string()), columns.render(2))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chord::{Chord, Finger};
    use overlay::Addr;
    use wire::WireProtocol;

    use super::*;

    fn peer(number: u64) -> Peer {
        let id = Space::new(6).unwrap().id(number).unwrap();
        Peer { id, addr: Addr::new(&format!("127.0.0.1:{}", 7000 + number)).unwrap(), incarnation: 1 }
    }

    fn view() -> View {
        let fingers = [(9, 14), (10, 14), (12, 14), (16, 21), (24, 32), (40, 42)];
        let finger = |(start, node)| Finger { start: peer(start).id, node: Some(peer(node)) };
        let table = chord::Table {
            predecessor: None,
            successors: vec![peer(14), peer(21)],
            fingers: fingers.map(finger).to_vec(),
        };
        let shown = Chord::table(&table, &|_| Some(Duration::from_micros(450)));
        let table = protocols::find("chord").unwrap().read(shown, Space::new(6).unwrap()).unwrap();
        View { me: peer(8).id, table }
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
        assert_eq!(text(&view(), Paint::PLAIN), expected);
    }

    #[test]
    fn notes_stand_beside_a_peer_or_instead_of_one() {
        let mut view = view();
        let line = |label: &str, peer, note: &str| {
            let (label, note) = (label.to_owned(), note.to_owned());
            Line { label, place: "1".to_owned(), peer, note }
        };
        view.table.lines = vec![line("members", Some(peer(14)), "heard 3 s ago"), line("pointers", None, "12 keys")];
        let expected = "\
08
               node  address            rtt
  members   1  0e    127.0.0.1:7014  450 µs  heard 3 s ago
  pointers  1                                12 keys
";
        assert_eq!(text(&view, Paint::PLAIN), expected);
    }

    #[test]
    fn json_lists_all_fingers_in_order() {
        let json = serde_json::to_string(&view()).unwrap();
        let node = r#"{"id":"0e","addr":"127.0.0.1:7014","rtt_us":450}"#;
        let begin = format!(r#"{{"id":"08","predecessor":null,"successors":[{node},"#);
        assert!(json.starts_with(&begin), "{json}");
        assert!(json.contains(&format!(r#""fingers":[{{"start":"09","node":{node}}},"#)), "{json}");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["fingers"].as_array().unwrap().len(), 6);
        assert_eq!(json["successors"][1]["id"], "15");
    }
}
