//! What people see of a node, and how all members are judged together.

use std::collections::{BTreeMap, BTreeSet};

use overlay::Peer;
use overlay::inspect::{
    Inspect, Inspected, Inspection, Line, Shown, Standing, Verdict, dead_entries, short, short_arc,
};
use ring::{Id, Range};

use crate::{Kelips, Table, rendezvous};

impl Kelips {
    pub(crate) fn shown_table(&self) -> Table {
        let peers = |view: &crate::view::View| view.values().map(|known| known.entry.peer.clone()).collect();
        let served = self.served_groups();
        let slots = served.iter().flat_map(|group| self.slots(*group).iter());
        let digests = slots.map(|slot| self.filetuples.digest(slot));
        let (count, sum) =
            digests.fold((0, 0), |(count, sum), digest| (count + u64::from(digest.count), sum ^ digest.sum));
        Table {
            groups: self.places.groups(),
            group: self.group,
            members: peers(&self.members),
            contacts: self.contacts.iter().map(|(group, view)| (*group, peers(view))).collect(),
            filetuples: count,
            filetuples_digest: rendezvous::mix(sum),
        }
    }
}

impl Inspect for Table {
    const ENTRY: &'static str = "contact";

    fn fields(&self) -> Vec<(String, Shown)> {
        let list = |peers: &[Peer]| Shown::List(peers.iter().cloned().map(|peer| Shown::Peer(Some(peer))).collect());
        let contacts = self.contacts.iter().map(|(group, peers)| (group.to_string(), list(peers)));
        let fields = [
            ("groups", Shown::Number(u64::from(self.groups))),
            ("group", Shown::Number(u64::from(self.group))),
            ("members", list(&self.members)),
            ("contacts", Shown::Fields(contacts.collect())),
            ("filetuples", Shown::Number(self.filetuples)),
            // 53 bits, so that every reader of JSON sees the same number.
            ("filetuples_digest", Shown::Number(self.filetuples_digest >> 11)),
        ];
        fields.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    fn lines(&self) -> Vec<Line> {
        let note = |label: &str, note: String| Line { label: label.to_owned(), note, ..Line::default() };
        let mut lines = vec![note("group", format!("{} of {}", self.group, self.groups))];
        lines.extend(listed("members", String::new(), &self.members));
        for (place, (group, peers)) in self.contacts.iter().enumerate() {
            let label = if place == 0 { "contacts" } else { "" };
            lines.extend(listed(label, format!("group {group}"), peers));
        }
        lines.push(note("filetuples", self.filetuples.to_string()));
        lines
    }

    fn peers(&self) -> Vec<&Peer> {
        self.members.iter().chain(self.contacts.values().flatten()).collect()
    }

    fn place(&self) -> Option<String> {
        Some(format!("group {}", self.group))
    }

    fn pointers(&self) -> u64 {
        self.filetuples
    }

    fn judge(ring: &Inspection<'_, Self>, verdict: &mut Verdict) {
        let mut groups: BTreeMap<u32, Vec<&Inspected<Table>>> = BTreeMap::new();
        for member in ring.members {
            groups.entry(member.table.group).or_default().push(member);
        }
        for (group, members) in &groups {
            for member in members {
                view(member, members, verdict);
                contacts(member, &groups, ring, verdict);
                dead_entries(ring, member.me.id, entries(&member.table), verdict);
            }
            same_filetuples(*group, members, verdict);
        }
        owned_once(ring, verdict);
    }
}

fn listed(label: &str, place: String, peers: &[Peer]) -> Vec<Line> {
    let line = |(at, peer): (usize, &Peer)| Line {
        label: if at == 0 { label.to_owned() } else { String::new() },
        place: if at == 0 { place.clone() } else { String::new() },
        peer: Some(peer.clone()),
        note: String::new(),
    };
    if peers.is_empty() {
        return vec![Line { label: label.to_owned(), place, peer: None, note: "none".to_owned() }];
    }
    peers.iter().enumerate().map(line).collect()
}

/// Every peer that a table names, with its place in words.
fn entries(table: &Table) -> impl Iterator<Item = (String, &Peer)> {
    let members = table.members.iter().map(|peer| ("member".to_owned(), peer));
    let contacts = table.contacts.iter().flat_map(|(group, peers)| peers.iter().map(move |peer| (group, peer)));
    members.chain(contacts.map(|(group, peer)| (format!("contact in group {group}"), peer)))
}

/// A member's view has every other ready member of its group.
fn view(member: &Inspected<Table>, group: &[&Inspected<Table>], verdict: &mut Verdict) {
    let known: BTreeSet<(Id, u64)> = member.table.members.iter().map(|peer| (peer.id, peer.incarnation)).collect();
    let missing = group
        .iter()
        .filter(|other| other.me.id != member.me.id && !known.contains(&(other.me.id, other.me.incarnation)));
    for other in missing {
        let detail = format!("does not have {} in its view, a member of its group", short(other.me.id));
        verdict.add(member.me.id, "group_view", detail);
    }
}

/// Every other group with members is covered by a live contact; as many as there can be make lookups robust.
fn contacts(
    member: &Inspected<Table>,
    groups: &BTreeMap<u32, Vec<&Inspected<Table>>>,
    ring: &Inspection<'_, Table>,
    verdict: &mut Verdict,
) {
    let most = member.table.contacts.values().map(Vec::len).max().unwrap_or(0);
    for (group, members) in groups.iter().filter(|(group, _)| **group != member.table.group) {
        let known = member.table.contacts.get(group).into_iter().flatten();
        match known.filter(|peer| ring.standing(peer) == Standing::Ready).count() {
            0 => {
                let detail = format!("has no live contact in group {group}, which has {} members", members.len());
                verdict.add(member.me.id, "contacts", detail);
            }
            live => verdict.detours += most.min(members.len()).saturating_sub(live),
        }
    }
}

/// All members of a group know the same keys. The odd ones out are in violation.
fn same_filetuples(group: u32, members: &[&Inspected<Table>], verdict: &mut Verdict) {
    let mut sums: BTreeMap<(u64, u64), usize> = BTreeMap::new();
    for member in members {
        *sums.entry((member.table.filetuples, member.table.filetuples_digest)).or_default() += 1;
    }
    let usual = sums.iter().max_by_key(|(_, count)| **count).map(|(sum, _)| *sum);
    for member in members {
        let its = (member.table.filetuples, member.table.filetuples_digest);
        if let Some(usual) = usual.filter(|usual| *usual != its) {
            let detail = match its.0 == usual.0 {
                true => format!("knows as many filetuples as most of group {group}, {}, and not the same", its.0),
                false => format!("knows {} of the {} filetuples that most of group {group} know", its.0, usual.0),
            };
            verdict.add(member.me.id, "filetuples", detail);
        }
    }
}

/// Owned arcs cover the circle, and no two of them overlap.
fn owned_once(ring: &Inspection<'_, Table>, verdict: &mut Verdict) {
    let mut arcs: Vec<(Range, Id)> =
        ring.members.iter().flat_map(|member| member.owns.iter().map(|range| (*range, member.me.id))).collect();
    if let [(only, _)] = arcs.as_slice()
        && only.is_full()
    {
        return;
    }
    arcs.sort_by_key(|(range, _)| range.upto);
    let before = arcs.iter().cycle().skip(arcs.len().saturating_sub(1));
    for ((range, owner), (last, other)) in arcs.iter().zip(before) {
        if range.after == last.upto && !range.is_full() {
            continue;
        }
        let overlaps = range.is_full() || range.contains(last.upto) || last.contains(range.upto);
        let detail = match overlaps {
            true => format!("{} is owned by {} as well: {}", short_arc(*range), short(*other), short_arc(*last)),
            false => format!("nobody owns {}", short_arc(Range::new(last.upto, range.after))),
        };
        verdict.add(*owner, "owned_once", detail);
    }
    if let (true, Some(first)) = (arcs.is_empty(), ring.members.first()) {
        verdict.add(first.me.id, "owned_once", "no member owns anything".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use overlay::Addr;
    use ring::Space;

    use super::*;

    fn peer(number: u64) -> Peer {
        let addr = Addr::new(&format!("node{number}:1")).unwrap();
        Peer { id: Space::new(7).unwrap().id(number).unwrap(), addr, incarnation: 1 }
    }

    fn range(after: u64, upto: u64) -> Range {
        Range::new(peer(after).id, peer(upto).id)
    }

    /// Four nodes in two groups, each with its own quarter of the circle.
    fn sound() -> Vec<Inspected<Table>> {
        let member = |(at, number): (u64, u64)| Inspected {
            me: peer(number),
            owns: vec![range(32 * at, 32 * (at + 1) % 128)],
            table: Table {
                groups: 2,
                group: (number % 2) as u32,
                members: vec![peer(if number < 3 { number + 2 } else { number - 2 })],
                contacts: BTreeMap::from([(
                    1 - (number % 2) as u32,
                    vec![peer(4 - number.clamp(1, 2)), peer(1 + number % 2)],
                )]),
                filetuples: 5,
                filetuples_digest: 9,
            },
        };
        (0..4).zip(1..=4).map(member).collect()
    }

    /// The rules that are broken after `spoil`, and detours.
    fn judged(spoil: impl FnOnce(&mut Vec<Inspected<Table>>)) -> (Vec<&'static str>, usize) {
        let answered = sound().iter().map(|member| (member.me.id, (1, Standing::Ready))).collect();
        let mut members = sound();
        spoil(&mut members);
        let mut verdict = Verdict::default();
        Table::judge(&Inspection { members: &members, answered: &answered }, &mut verdict);
        (verdict.violations.iter().map(|violation| violation.invariant).collect(), verdict.detours)
    }

    fn rules(spoil: impl FnOnce(&mut Vec<Inspected<Table>>)) -> Vec<&'static str> {
        judged(spoil).0
    }

    #[test]
    fn what_is_sound_passes_and_each_rule_notices_its_breach() {
        assert_eq!(rules(|_| {}), [""; 0]);
        assert_eq!(rules(|members| members[0].table.members.clear()), ["group_view"]);
        assert_eq!(rules(|members| members[0].table.members.push(peer(77))), ["dead_entry"]);
        assert_eq!(rules(|members| members[0].table.contacts.clear()), ["contacts"]);
        assert_eq!(rules(|members| members[2].table.filetuples_digest = 8).len(), 1);
        assert_eq!(rules(|members| members[3].owns.clear()), ["owned_once"]);
        assert_eq!(rules(|members| members[3].owns.push(range(0, 16))), ["owned_once"]);
        assert!(rules(|members| members[3].owns.push(range(5, 5))).contains(&"owned_once"));
        assert_eq!(rules(|members| members.iter_mut().for_each(|member| member.owns.clear())), ["owned_once"]);
    }

    #[test]
    fn one_who_owns_the_whole_circle_alone_owns_it_once() {
        let mut alone = sound();
        alone.truncate(1);
        alone[0].owns = vec![range(3, 3)];
        alone[0].table.members.clear();
        alone[0].table.contacts.clear();
        let answered = BTreeMap::from([(alone[0].me.id, (1, Standing::Ready))]);
        let mut verdict = Verdict::default();
        Table::judge(&Inspection { members: &alone, answered: &answered }, &mut verdict);
        assert_eq!(verdict, Verdict::default());
    }
}
