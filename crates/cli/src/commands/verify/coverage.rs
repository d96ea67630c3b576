//! Which part of the circle was verified, and who should answer for the rest.

use client::message::{self, SetStatus, StatusResponse};
use overlay::Peer;
use ring::{Id, Range, Space};
use serde::Serialize;
use wire::WireForm;

use crate::commands::PeerJson;
use crate::survey::{Member, State};

/// An arc of the circle that nobody verified as its primary.
#[derive(Serialize, PartialEq, Debug)]
pub(super) struct Unverified {
    pub(super) after: String,
    pub(super) upto: String,
    /// Who should be its primary, if anybody knows.
    pub(super) primary: Option<PeerJson>,
    pub(super) why: String,
    #[serde(skip)]
    range: Range,
}

impl Unverified {
    fn new(range: Range, primary: Option<&Peer>, why: String) -> Self {
        let (after, upto) = (range.after.to_string(), range.upto.to_string());
        let primary = primary.map(|peer| PeerJson { id: peer.id.to_string(), addr: peer.addr.to_string() });
        Self { after, upto, primary, why, range }
    }

    /// The two as one, where the other begins at this one's end and nothing else differs.
    fn joined(&self, other: &Self) -> Option<Self> {
        let follows =
            self.range.upto == other.range.after && (&self.primary, &self.why) == (&other.primary, &other.why);
        let range = Range::new(self.range.after, other.range.upto);
        follows.then(|| Self {
            after: self.after.clone(),
            upto: other.upto.clone(),
            primary: self.primary.clone(),
            why: self.why.clone(),
            range,
        })
    }
}

/// What is left of the circle without these arcs; cut open where one of them ends, so that no arc is cut in two.
pub(super) fn gaps(space: Space, verified: &[Range]) -> Vec<Range> {
    let open_at = verified.first().map_or(space.max(), |range| range.upto);
    Range::full(open_at).without(verified.iter().copied())
}

/// The part of the circle that is in none of these arcs, from 0 to 1.
pub(super) fn verified_part(gaps: &[Range]) -> f64 {
    // Sums of fractions are not exact, and nothing is more than all.
    (1.0 - gaps.iter().map(|gap| gap.fraction()).sum::<f64>()).clamp(0.0, 1.0)
}

/// What one member was asked and did not verify, and why.
pub(super) struct Refused {
    pub(super) range: Range,
    pub(super) peer: Peer,
    pub(super) why: String,
}

/// A set as somebody who knows it has it.
pub(super) struct Claim {
    range: Range,
    number: u64,
    primary: Peer,
    /// Members that do not answer, where the rest is no majority.
    missing: Vec<String>,
}

/// The sets that a node knows.
pub(super) fn claims(status: &StatusResponse, space: Space) -> impl Iterator<Item = Claim> {
    status.sets.iter().filter_map(move |set| claim(set, space))
}

fn claim(set: &SetStatus, space: Space) -> Option<Claim> {
    let range = read_range(set.range.as_ref()?, space)?;
    let missing: Vec<String> =
        set.members.iter().filter(|one| set.missing.contains(&one.id)).map(|one| one.addr.clone()).collect();
    let lost = 2 * (set.members.len() - missing.len()) <= set.members.len();
    let primary = Peer::from_message(set.members.first()?.clone(), space).ok()?;
    Some(Claim { range, number: set.number, primary, missing: if lost { missing } else { Vec::new() } })
}

/// A range off the wire.
pub(super) fn read_range(range: &message::Range, space: Space) -> Option<Range> {
    let id = |bytes: &[u8]| -> Option<Id> { space.from_bytes(bytes).ok() };
    Some(Range::new(id(&range.after)?, id(&range.upto)?))
}

/// Who should have answered for the gaps, and why nobody did: by the newest set that a member knows there, else by who
/// says that it owns the arc.
pub(super) fn explained(
    gaps: Vec<Range>,
    claims: &mut [Claim],
    refused: &[Refused],
    members: &[Member],
    timed_out: bool,
) -> Vec<Unverified> {
    claims.sort_by_key(|claim| std::cmp::Reverse(claim.number));
    let mut unverified: Vec<Unverified> = Vec::new();
    let mut open = gaps;
    for one in refused {
        take(&mut open, one.range, |part| unverified.push(Unverified::new(part, Some(&one.peer), one.why.clone())));
    }
    for claim in claims.iter() {
        take(&mut open, claim.range, |part| {
            let why = why_not(&claim.primary, &claim.missing, members, timed_out);
            unverified.push(Unverified::new(part, Some(&claim.primary), why));
        });
    }
    for Member { peer, report } in members {
        for range in report.iter().flat_map(|report| &report.owns) {
            take(&mut open, *range, |part| {
                let why = "no member knows who holds it; its owner begins it once it may".to_owned();
                unverified.push(Unverified::new(part, Some(peer), if timed_out { not_in_time() } else { why }));
            });
        }
    }
    let nobody = || if timed_out { not_in_time() } else { "no member knows who holds it, nor who owns it".to_owned() };
    unverified.extend(open.into_iter().map(|part| Unverified::new(part, None, nobody())));
    unverified.sort_by_key(|one| one.range.upto);
    together(unverified)
}

/// Hands what `open` and `range` share to `found`, and leaves the rest open.
fn take(open: &mut Vec<Range>, range: Range, mut found: impl FnMut(Range)) {
    for gap in std::mem::take(open) {
        gap.intersect(range).into_iter().for_each(&mut found);
        open.extend(gap.minus(range));
    }
}

fn not_in_time() -> String {
    "was not reached in time".to_owned()
}

fn why_not(primary: &Peer, missing: &[String], members: &[Member], timed_out: bool) -> String {
    let asked = members.iter().find(|member| member.peer.id == primary.id).map(|member| &member.report);
    let why = match asked {
        None => "the members have dropped the primary".to_owned(),
        Some(Err(why)) => format!("the primary does not answer ({why})"),
        Some(Ok(_)) if timed_out => not_in_time(),
        Some(Ok(report)) if report.state == State::Joining => "the primary is still joining".to_owned(),
        Some(Ok(_)) => "a new set is being formed; look again in a moment".to_owned(),
    };
    match missing {
        [] => why,
        missing => format!("{why}; without {} its set has no majority", missing.join(", ")),
    }
}

/// Neighbouring arcs of the same kind as one.
fn together(unverified: Vec<Unverified>) -> Vec<Unverified> {
    let mut joined: Vec<Unverified> = Vec::new();
    for one in unverified {
        let both = joined.last().and_then(|last| last.joined(&one));
        if both.is_some() {
            joined.pop();
        }
        joined.push(both.unwrap_or(one));
    }
    // The first may go on where the last ends.
    if let [.., last] = joined.as_slice()
        && joined.len() > 1
        && let Some(both) = last.joined(&joined[0])
    {
        joined.pop();
        joined[0] = both;
    }
    joined
}

#[cfg(test)]
mod tests {
    use overlay::Addr;

    use super::*;

    fn id(number: u64) -> Id {
        Space::new(6).unwrap().id(number).unwrap()
    }

    fn range(after: u64, upto: u64) -> Range {
        Range::new(id(after), id(upto))
    }

    fn peer(number: u64) -> Peer {
        Peer { id: id(number), addr: Addr::new(&format!("n{}:1", id(number))).unwrap(), incarnation: 1 }
    }

    fn silent(number: u64) -> Member {
        Member { peer: peer(number), report: Err("connection refused".into()) }
    }

    fn claim(after: u64, upto: u64, number: u64, primary: u64, missing: &[&str]) -> Claim {
        let missing = missing.iter().map(|one| (*one).to_owned()).collect();
        Claim { range: range(after, upto), number, primary: peer(primary), missing }
    }

    fn arcs(unverified: &[Unverified]) -> Vec<(&str, &str, Option<&str>)> {
        unverified.iter().map(|one| (&*one.after, &*one.upto, one.primary.as_ref().map(|peer| &*peer.id))).collect()
    }

    #[test]
    fn what_no_primary_verified_is_left_of_the_circle() {
        let space = Space::new(6).unwrap();
        assert_eq!(gaps(space, &[range(8, 24), range(24, 40), range(40, 8)]), []);
        assert_eq!(gaps(space, &[range(8, 24), range(40, 8)]), [range(24, 40)]);
        assert_eq!(gaps(space, &[range(8, 24), range(20, 30)]), [range(30, 8)], "it runs over zero in one piece");
        assert!(gaps(space, &[]).iter().all(|gap| gap.is_full()));
        assert_eq!(gaps(space, &[Range::full(id(3))]), []);
        assert!((verified_part(&[range(0, 16)]) - 0.75).abs() < 1e-9);
        assert!((verified_part(&[]) - 1.0).abs() < 1e-9 && verified_part(&[Range::full(id(3))]) < 1e-9);
    }

    #[test]
    fn the_newest_set_says_who_should_have_answered() {
        let mut claims = [claim(0, 40, 3, 10, &[]), claim(20, 60, 5, 40, &["n0a:1"])];
        let found = explained(vec![range(10, 50)], &mut claims, &[], &[silent(10), silent(40)], false);
        assert_eq!(arcs(&found), [("0a", "14", Some("0a")), ("14", "32", Some("28"))]);
        assert_eq!(found[0].why, "the primary does not answer (connection refused)");
        let why = "the primary does not answer (connection refused); without n0a:1 its set has no majority";
        assert_eq!(found[1].why, why);
    }

    #[test]
    fn neighbouring_arcs_of_the_same_kind_are_one_also_over_zero() {
        let mut claims = [claim(0, 20, 3, 10, &[]), claim(20, 30, 4, 10, &[]), claim(50, 0, 3, 10, &[])];
        let found = explained(vec![range(50, 30)], &mut claims, &[], &[silent(10)], false);
        assert_eq!(arcs(&found), [("32", "1e", Some("0a"))]);
    }

    #[test]
    fn what_a_member_said_itself_counts_more_and_what_nobody_knows_is_listed_too() {
        let refused = Refused { range: range(0, 10), peer: peer(10), why: "it is changing hands".into() };
        let found = explained(vec![range(0, 20)], &mut [claim(0, 10, 9, 30, &[])], &[refused], &[], false);
        assert_eq!(arcs(&found), [("00", "0a", Some("0a")), ("0a", "14", None)]);
        assert_eq!(found[0].why, "it is changing hands");
        assert_eq!(found[1].why, "no member knows who holds it, nor who owns it");
        let found = explained(vec![range(0, 20)], &mut [], &[], &[], true);
        assert_eq!(found[0].why, "was not reached in time");
    }

    #[test]
    fn a_set_that_lost_its_majority_names_who_is_missing_and_another_does_not() {
        let wire = |number: u64| peer(number).to_message();
        let set = |missing: &[u64]| SetStatus {
            range: Some(range(0, 20).to_message()),
            number: 4,
            members: vec![wire(10), wire(20), wire(30)],
            missing: missing.iter().map(|number| wire(*number).id).collect(),
            ..SetStatus::default()
        };
        let status = |missing: &[u64]| StatusResponse { sets: vec![set(missing)], ..StatusResponse::default() };
        let missing = |absent: &[u64]| claims(&status(absent), Space::new(6).unwrap()).next().unwrap().missing;
        assert_eq!(missing(&[10]), [""; 0]);
        assert_eq!(missing(&[10, 30]), ["n0a:1", "n1e:1"]);
    }
}
