//! A protocol's routing state as people see it (`dht table`) and as it is judged over all members (`dht check`).
//!
//! Pure: the state comes in as values that were collected from every member, what is wrong with it goes out in words.

use std::collections::BTreeMap;

use ring::{Id, Range};

use crate::Peer;

/// Implemented by each protocol's [`crate::Overlay::Table`].
pub trait Inspect: Sized {
    /// What an entry is called that may be a detour ([`Verdict::detours`]).
    const ENTRY: &'static str = "entry";

    /// The table for programs: names and values, in the order in which they are printed. The node's own identifier is put
    /// in front of them.
    fn fields(&self) -> Vec<(String, Shown)>;

    /// The table for people, line by line.
    fn lines(&self) -> Vec<Line>;

    /// Every peer that it names.
    fn peers(&self) -> Vec<&Peer>;

    /// Where among the members this one is, in words, where an identifier alone does not tell: its group.
    fn place(&self) -> Option<String> {
        None
    }

    /// How many pointers to records are kept beside them.
    fn pointers(&self) -> u64 {
        0
    }

    /// Judges one ring of ready members by the protocol's own rules.
    fn judge(ring: &Inspection<'_, Self>, verdict: &mut Verdict);
}

/// A value in a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shown {
    /// A node, or none: identifier, address and round trip.
    Peer(Option<Peer>),
    /// An identifier by itself.
    Id(Id),
    /// A number.
    Number(u64),
    /// Several.
    List(Vec<Shown>),
    /// By name.
    Fields(Vec<(String, Shown)>),
}

/// A line of a table for people.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Line {
    /// What this line and those after it belong to; empty where it goes on.
    pub label: String,
    /// Which place in it, `1-3` or `row 2, digit f`.
    pub place: String,
    /// Who is there.
    pub peer: Option<Peer>,
    /// Instead of a peer, or beside it.
    pub note: String,
}

/// A ready member of the ring that is judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inspected<T> {
    /// Who.
    pub me: Peer,
    /// The arcs that it says it owns.
    pub owns: Vec<Range>,
    /// Its routing state.
    pub table: T,
}

/// How a node that some table names is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Ready, and in the life that the table knows.
    Ready,
    /// It answers and is on its way in or out: it may or may not be in tables.
    Moving,
    /// It does not answer, or the life that the table knows is over.
    Dead,
}

/// All ready members of one ring, and how everybody else is.
#[derive(Clone, Debug)]
pub struct Inspection<'a, T> {
    /// The ready members of this ring, by identifier.
    pub members: &'a [Inspected<T>],
    /// Every node that was asked: the incarnation that answered, and how it is. Those who did not answer are not in it.
    pub answered: &'a BTreeMap<Id, (u64, Standing)>,
}

impl<T> Inspection<'_, T> {
    /// How a peer is that a table names.
    pub fn standing(&self, peer: &Peer) -> Standing {
        match self.answered.get(&peer.id) {
            Some((incarnation, _)) if *incarnation > peer.incarnation => Standing::Dead,
            Some((_, standing)) => *standing,
            None => Standing::Dead,
        }
    }
}

/// Something that should not be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Whose state is wrong.
    pub member: Id,
    /// The rule that is broken, in one word: `ordered_successors`.
    pub invariant: &'static str,
    /// What was found, in words.
    pub detail: String,
}

/// What a look at the whole overlay comes to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// What is wrong.
    pub violations: Vec<Violation>,
    /// Entries that are not what they should be and make lookups longer, never wrong.
    pub detours: usize,
}

impl Verdict {
    /// Notes that something is wrong.
    pub fn add(&mut self, member: Id, invariant: &'static str, detail: String) {
        self.violations.push(Violation { member, invariant, detail });
    }
}

/// No table names a node that is gone: notes those of `member`'s entries that do, one violation for each such node.
/// An entry comes with its place, in words: `successor 3`.
pub fn dead_entries<'a, T>(
    ring: &Inspection<'_, T>,
    member: Id,
    entries: impl IntoIterator<Item = (String, &'a Peer)>,
    verdict: &mut Verdict,
) {
    let mut dead: BTreeMap<Id, Vec<String>> = BTreeMap::new();
    for (place, peer) in entries {
        if peer.id != member && ring.standing(peer) == Standing::Dead {
            dead.entry(peer.id).or_default().push(place);
        }
    }
    for (id, places) in dead {
        let more = places.len().saturating_sub(3);
        let mut named_as = places.into_iter().take(3).collect::<Vec<_>>().join(", ");
        if more > 0 {
            named_as.push_str(&format!(" and {more} more"));
        }
        verdict.add(member, "dead_entry", format!("names {}, which is gone, as {named_as}", short(id)));
    }
}

/// An arc in a sentence.
pub fn short_arc(arc: Range) -> String {
    format!("({}, {}]", short(arc.after), short(arc.upto))
}

/// A node in a sentence: the first digits of its identifier.
pub fn short(id: Id) -> String {
    shortened(&id.to_string())
}

/// The first digits of a long identifier, enough for people to tell a few apart.
pub fn shortened(digits: &str) -> String {
    match digits.get(..10) {
        Some(first) if digits.len() > 12 => format!("{first}…"),
        _ => digits.to_owned(),
    }
}
