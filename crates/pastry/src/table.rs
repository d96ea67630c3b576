//! The tables as people and programs see them.

use overlay::Peer;
use overlay::inspect::{Inspect, Inspection, Line, Shown, Verdict};

use crate::{Pastry, Table};

impl Pastry {
    pub(crate) fn shown_table(&self) -> Table {
        let mut table = Table {
            digit_bits: self.config.bits(),
            leaf_set: u32::try_from(2 * self.config.half()).unwrap_or(u32::MAX),
            ..Table::default()
        };
        if self.is_member() {
            table.smaller = self.leaf_set.side(crate::leaf_set::Side::Smaller).to_vec();
            table.larger = self.leaf_set.side(crate::leaf_set::Side::Larger).to_vec();
            table.rows = self.table.rows();
            table.neighbourhood = self.neighbourhood.peers().cloned().collect();
        }
        table
    }
}

impl Inspect for Table {
    fn fields(&self) -> Vec<(String, Shown)> {
        let field = |name: &str, shown: Shown| (name.to_owned(), shown);
        let peers = |peers: &[Peer]| Shown::List(peers.iter().cloned().map(Some).map(Shown::Peer).collect());
        let rows = self.rows.iter().map(|row| {
            let entries = row.entries.iter().map(|entry| {
                Shown::Fields(vec![
                    field("digit", Shown::Number(u64::from(entry.digit))),
                    field("node", Shown::Peer(Some(entry.node.clone()))),
                ])
            });
            Shown::Fields(vec![
                field("row", Shown::Number(u64::from(row.row))),
                field("entries", Shown::List(entries.collect())),
            ])
        });
        let leaf_set = vec![field("smaller", peers(&self.smaller)), field("larger", peers(&self.larger))];
        vec![
            field("leaf_set", Shown::Fields(leaf_set)),
            field("rows", Shown::List(rows.collect())),
            field("neighbourhood", peers(&self.neighbourhood)),
        ]
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for (side, sign) in [(&self.smaller, '-'), (&self.larger, '+')] {
            for (place, peer) in (1..).zip(side) {
                let label = if lines.is_empty() { "leaf set" } else { "" };
                lines.push(line(label, format!("{sign}{place}"), peer));
            }
        }
        if lines.is_empty() {
            let note = "nobody else".to_owned();
            lines.push(Line { label: "leaf set".to_owned(), note, ..Line::default() });
        }
        for row in &self.rows {
            for (at, entry) in row.entries.iter().enumerate() {
                let label = if at == 0 { format!("row {}", row.row) } else { String::new() };
                lines.push(line(&label, format!("digit {:x}", entry.digit), &entry.node));
            }
        }
        for (place, peer) in (1..).zip(&self.neighbourhood) {
            lines.push(line(if place == 1 { "neighbourhood" } else { "" }, place.to_string(), peer));
        }
        lines
    }

    /// Without the neighbourhood set: routing does not use it, and who is gone from it is noticed late.
    fn peers(&self) -> Vec<&Peer> {
        let entries = self.rows.iter().flat_map(|row| &row.entries).map(|entry| &entry.node);
        self.smaller.iter().chain(&self.larger).chain(entries).collect()
    }

    fn judge(ring: &Inspection<'_, Self>, verdict: &mut Verdict) {
        crate::judge::judge(ring, verdict);
    }
}

fn line(label: &str, place: String, peer: &Peer) -> Line {
    Line { label: label.to_owned(), place, peer: Some(peer.clone()), note: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::{id, knowing, peer};
    use overlay::Overlay;

    fn table() -> Table {
        knowing(0x80_0000, &[0x70_0000, 0x81_0000], Config { leaf_set: 2, replicas: 1, ..Config::default() }).table()
    }

    #[test]
    fn people_see_the_leaf_set_from_the_nearest_on_and_rows_by_their_digits() {
        let shown = table().lines().into_iter().map(|line| {
            let node = line.peer.map_or("-".to_owned(), |peer| peer.id.to_string());
            [line.label, line.place, node].join("|")
        });
        let expected = ["leaf set|-1|700000", "|+1|810000", "row 0|digit 7|700000", "row 1|digit 1|810000"];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
        let alone = knowing(1, &[], Config::default()).table().lines();
        assert_eq!((alone.len(), alone[0].note.as_str()), (1, "nobody else"));
    }

    #[test]
    fn programs_see_every_field_and_only_rows_that_have_entries() {
        let fields = table().fields();
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["leaf_set", "rows", "neighbourhood"]);
        let field = |name: &str, shown: Shown| (name.to_owned(), shown);
        let node = |number| Shown::Peer(Some(peer(number)));
        let leaf_set = vec![
            field("smaller", Shown::List(vec![node(0x70_0000)])),
            field("larger", Shown::List(vec![node(0x81_0000)])),
        ];
        assert_eq!(fields[0].1, Shown::Fields(leaf_set));
        let Shown::List(rows) = &fields[1].1 else { panic!("no rows in {fields:?}") };
        let entry = Shown::Fields(vec![field("digit", Shown::Number(1)), field("node", node(0x81_0000))]);
        let row = vec![field("row", Shown::Number(1)), field("entries", Shown::List(vec![entry]))];
        assert_eq!((rows.len(), &rows[1]), (2, &Shown::Fields(row)));
        assert!(table().peers().iter().any(|peer| peer.id == id(0x70_0000)));
    }
}
