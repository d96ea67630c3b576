//! What becomes of a key's copies, in words: a function of what was found out.

use std::time::{Duration, UNIX_EPOCH};

use ring::Id;
use wire::records::{Held, Part, Sight};

use super::holder::{Holder, Role, has_expired};
use crate::run::STOPPED_FOR;

/// From here on a moment is in no year that is written with four digits.
const WRITABLE_UNTIL_MS: u64 = 253_402_300_800_000;

/// All that was found out about a key.
pub(super) struct Findings {
    pub(super) sight: Sight,
    /// The set's members in its order, then newcomers.
    pub(super) holders: Vec<Holder>,
    pub(super) cluster: Cluster,
    pub(super) replicas: usize,
    pub(super) repair_period: Duration,
    pub(super) tombstone_grace: Duration,
    pub(super) lost_majority_after: Option<Duration>,
    pub(super) now_ms: u64,
}

/// The nodes around a range, as far as the one knows that explains it.
pub(super) struct Cluster {
    /// Nodes that live and have no part in the range yet.
    pub(super) spare: usize,
    /// Nodes that live.
    pub(super) alive: usize,
    /// Those, and the dead ones that are remembered.
    pub(super) known: usize,
    /// Those who said that they only stop.
    pub(super) stopped: Vec<Id>,
}

impl Findings {
    /// What happens next, a sentence each; none where there is nothing to do.
    pub(super) fn next(&self) -> Vec<String> {
        let mut next = Vec::new();
        next.extend(self.of_the_range());
        next.extend(self.of_silent_members());
        next.extend(self.members().filter_map(|holder| self.of_a_read_only_member(holder)));
        next.extend(self.of_missing_copies());
        next.extend(self.members().filter_map(|holder| self.of_a_lagging_member(holder)));
        next.extend(self.of_the_record());
        next
    }

    fn members(&self) -> impl Iterator<Item = &Holder> {
        self.holders.iter().filter(|holder| holder.role != Role::Newcomer)
    }

    fn silent(&self) -> Vec<&Holder> {
        self.members().filter(|holder| holder.said.is_err()).collect()
    }

    fn primary_answers(&self) -> bool {
        self.members().next().is_some_and(|primary| primary.said.is_ok())
    }

    fn primary_is_read_only(&self) -> bool {
        self.members().next().is_some_and(Holder::is_read_only)
    }

    fn majority_answers(&self) -> bool {
        let set = &self.sight.set;
        set.members.len() - self.silent().len() >= set.majority()
    }

    /// Somebody is there who can take a member's place.
    fn can_replace(&self) -> bool {
        self.cluster.spare + self.sight.learners.len() > 0
    }

    fn newest(&self) -> Option<Held> {
        self.holders.iter().filter_map(Holder::held).max_by_key(|held| held.version)
    }

    fn of_the_range(&self) -> Vec<String> {
        let Sight { part, settled, fenced, set, .. } = &self.sight;
        let mut said = Vec::new();
        let serves = *part == Part::Primary && !fenced;
        if !serves && self.primary_answers() {
            said.push("the range is changing hands: it is served again in a moment".to_owned());
        } else if serves && !settled {
            said.push("the set is new: the primary brings what it has to a majority of it".to_owned());
        }
        let writers = self.members().filter(|holder| holder.said.is_ok() && !holder.is_read_only()).count();
        if self.majority_answers() && writers < set.majority() {
            let (of, needed) = (set.members.len(), set.majority());
            let why = format!("{writers} of {of} holders take writes and {needed} are needed");
            said.push(format!("{why}: reads go on, writes are refused"));
        }
        if set.forced {
            let why = "what only those had who were missing then comes back with their disks";
            said.push(format!("the set was made by survivors without a majority: {why}"));
        }
        said
    }

    fn of_silent_members(&self) -> Vec<String> {
        let silent = self.silent();
        if !self.majority_answers() {
            let names = silent.iter().map(|holder| holder.addr()).collect::<Vec<_>>().join(", ");
            let verb = if silent.len() == 1 { "does" } else { "do" };
            let until = format!("until a majority is back{}", self.of_survivors(&silent));
            return vec![format!("{names} {verb} not answer: nothing is read or written here {until}")];
        }
        let of_one = |holder: &&Holder| {
            let then = match (holder.role, self.can_replace()) {
                (Role::Primary, true) => "another holder takes over, and another node its place",
                (Role::Primary, false) => {
                    "another holder takes over, no other node is there to take its place, its copy counts again once it \
                     is back"
                }
                (_, true) => "another node takes its place once it has fetched the range",
                (_, false) => "no other node is there to take its place, its copy counts again once it is back",
            };
            format!("{} does not answer: {then}", named(holder))
        };
        silent.iter().map(of_one).collect()
    }

    /// Whether those who are left go on by themselves.
    fn of_survivors(&self, silent: &[&Holder]) -> String {
        let Some(patience) = self.lost_majority_after else { return String::new() };
        let Cluster { alive, known, stopped, .. } = &self.cluster;
        if 2 * alive < *known {
            let only_if = "the others go on without them only if half of the nodes answer that were there lately";
            return format!("; {only_if}, and here {alive} of the {known} that are known do");
        }
        let stopped: Vec<&str> =
            silent.iter().filter(|one| stopped.contains(&one.member.peer.id)).map(|one| one.addr()).collect();
        let when = if stopped.is_empty() {
            format!("{} after they fell silent", time(patience))
        } else {
            format!("{} after {} said to be stopping", time(STOPPED_FOR), stopped.join(", "))
        };
        format!(", or the others go on without them, {when}")
    }

    fn of_a_read_only_member(&self, holder: &Holder) -> Option<String> {
        if !holder.is_read_only() {
            return None;
        }
        let mend = "mend its disk and restart it";
        let then = match (holder.role, self.can_replace()) {
            (Role::Primary, _) => {
                format!(
                    "reads go on, writes are refused and nothing is repaired here until another is the primary; {mend}"
                )
            }
            (_, true) => format!("nothing is repaired there, another node has to take its place; {mend}"),
            (_, false) => {
                format!("nothing is repaired there, and no other node is there to take its place; {mend}")
            }
        };
        Some(format!("{} takes no writes, its disk failed: {then}", named(holder)))
    }

    fn of_missing_copies(&self) -> Vec<String> {
        let Sight { set, learners, .. } = &self.sight;
        let newcomers = self.holders.iter().filter(|holder| holder.role == Role::Newcomer);
        let mut said: Vec<String> =
            newcomers.map(|holder| format!("{} is being brought up as a further copy", holder.addr())).collect();
        // A set without a majority can't be changed, and a primary that takes no writes brings nobody up.
        let can_grow = self.majority_answers() && !self.primary_is_read_only();
        if set.members.len() < self.replicas && learners.is_empty() && can_grow {
            let why = match self.cluster.spare {
                0 => "no further node is there to hold one",
                _ => "a further node is asked to hold one",
            };
            said.push(format!("{} of {} copies: {why}", set.members.len(), self.replicas));
        }
        said
    }

    fn of_a_lagging_member(&self, holder: &Holder) -> Option<String> {
        if holder.is_renewed() {
            return Some(format!("{} came back without what it held: it is brought up anew", holder.addr()));
        }
        let newest = self.newest()?;
        if holder.said.is_err() || holder.version() == Some(newest.version) {
            return None;
        }
        let within = time(self.repair_period);
        let then = match holder.role {
            _ if !self.majority_answers() => "nothing is sent to it until a majority is back".to_owned(),
            _ if holder.is_read_only() => "it can't take it while its disk takes no writes".to_owned(),
            Role::Primary => format!("it takes it over at the next read, or within {within}"),
            _ if !self.primary_answers() => "the next primary sends it".to_owned(),
            _ if self.primary_is_read_only() => "the primary sends nothing while its disk takes no writes".to_owned(),
            _ => format!("the primary sends it when it next compares copies, within {within}"),
        };
        Some(format!("{} lacks this version: {then}", named(holder)))
    }

    fn of_the_record(&self) -> Option<String> {
        let newest = self.newest()?;
        if newest.tombstone {
            let grace = time(self.tombstone_grace);
            return Some(format!("the deletion is forgotten once it is {grace} old and every holder has it"));
        }
        if has_expired(&newest, self.now_ms) {
            return Some("it has expired: each holder turns its copy into a deletion".to_owned());
        }
        let expires_at_ms = newest.expires_at_ms.filter(|expires_at_ms| *expires_at_ms < WRITABLE_UNTIL_MS)?;
        let at = UNIX_EPOCH + Duration::from_millis(expires_at_ms);
        Some(format!("it expires at {}", humantime::format_rfc3339_millis(at)))
    }
}

/// `1m`, `10days`.
/// Where a holder is, and whether it is the one that orders writes.
fn named(holder: &Holder) -> String {
    let role = if holder.role == Role::Primary { ", the primary," } else { "" };
    format!("{}{role}", holder.addr())
}

fn time(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(duration)
}

#[cfg(test)]
mod tests {
    use overlay::Failure;
    use replica::Set;
    use ring::{Range, Space};

    use super::super::holder::fixtures::*;
    use super::*;

    /// A whole set of nodes 1 to `held.len()`, the first its primary, in a cluster of as many nodes as copies.
    fn findings(held: &[Option<Held>]) -> Findings {
        let role = |number| if number == 1 { Role::Primary } else { Role::Member };
        let holders: Vec<Holder> = (1..).zip(held).map(|(number, held)| holder(number, role(number), *held)).collect();
        let members = holders.iter().map(|holder| holder.member.clone()).collect();
        let sight = Sight {
            range: Range::full(Space::SHA1.zero()),
            set: Set { number: 4, members, forced: false },
            part: Part::Primary,
            settled: true,
            fenced: false,
            learners: Vec::new(),
            missing: Vec::new(),
        };
        Findings {
            sight,
            holders,
            cluster: Cluster { spare: 0, alive: 3, known: 3, stopped: Vec::new() },
            replicas: 3,
            repair_period: Duration::from_secs(60),
            tombstone_grace: Duration::from_secs(10 * 86_400),
            lost_majority_after: Some(Duration::from_secs(5)),
            now_ms: NOW_MS,
        }
    }

    fn silence(findings: &mut Findings, place: usize) {
        findings.holders[place].said = Err(Failure::TimedOut);
    }

    #[test]
    fn where_nothing_is_to_be_done_nothing_is_said() {
        assert_eq!(findings(&[held(5), held(5), held(5)]).next(), [""; 0]);
        assert_eq!(findings(&[None, None, None]).next(), [""; 0]);
    }

    #[test]
    fn a_record_s_end_is_told() {
        let of = |held| findings(&[held, held, held]).next();
        assert_eq!(of(deleted(5)), ["the deletion is forgotten once it is 10days old and every holder has it"]);
        assert_eq!(of(expiring(5, NOW_MS + 250)), ["it expires at 2023-11-14T22:13:20.250Z"]);
        assert_eq!(of(expiring(5, NOW_MS)), ["it has expired: each holder turns its copy into a deletion"]);
        assert_eq!(of(expiring(5, u64::MAX)), [""; 0], "that is never");
    }

    #[test]
    fn whoever_lacks_the_newest_version_gets_it() {
        let next = findings(&[held(5), held(9), None]).next();
        let sent = "lacks this version: the primary sends it when it next compares copies, within 1m";
        assert_eq!(next, [format!("a:2 {sent}"), format!("a:3 {sent}")]);
        let next = findings(&[held(9), held(5), held(5)]).next();
        assert_eq!(next, ["a:1, the primary, lacks this version: it takes it over at the next read, or within 1m"]);
    }

    #[test]
    fn a_silent_member_is_replaced_if_there_is_anybody_to_replace_it() {
        let mut findings = findings(&[held(5), held(5), held(5)]);
        silence(&mut findings, 1);
        let alone = "no other node is there to take its place, its copy counts again once it is back";
        assert_eq!(findings.next(), [format!("a:2 does not answer: {alone}")]);
        findings.cluster.spare = 1;
        assert_eq!(
            findings.next(),
            ["a:2 does not answer: another node takes its place once it has fetched the range"]
        );
        findings.cluster.spare = 0;
        findings.sight.learners = vec![member(4)];
        findings.holders.push(holder(4, Role::Newcomer, None));
        assert_eq!(
            findings.next(),
            [
                "a:2 does not answer: another node takes its place once it has fetched the range",
                "a:4 is being brought up as a further copy",
            ]
        );
    }

    #[test]
    fn a_silent_primary_is_followed_by_another_who_sends_what_is_lacking() {
        let mut findings = findings(&[held(5), held(5), held(9)]);
        silence(&mut findings, 0);
        (findings.cluster.spare, findings.sight.part) = (1, Part::Member);
        assert_eq!(
            findings.next(),
            [
                "a:1, the primary, does not answer: another holder takes over, and another node its place",
                "a:3 lacks this version: the next primary sends it",
            ]
        );
    }

    #[test]
    fn a_lost_majority_is_waited_for_and_not_for_ever_unless_that_is_configured() {
        let mut findings = findings(&[held(5), held(5), held(5)]);
        silence(&mut findings, 1);
        silence(&mut findings, 2);
        let waits = "a:2, a:3 do not answer: nothing is read or written here until a majority is back";
        let goes_on = "or the others go on without them, 5s after they fell silent";
        assert_eq!(findings.next(), [format!("{waits}, {goes_on}")]);
        findings.lost_majority_after = None;
        assert_eq!(findings.next(), [waits]);
    }

    #[test]
    fn a_set_that_is_too_small_says_who_comes_or_that_nobody_does() {
        let mut findings = findings(&[held(5), held(5)]);
        assert_eq!(findings.next(), ["2 of 3 copies: no further node is there to hold one"]);
        findings.cluster.spare = 1;
        assert_eq!(findings.next(), ["2 of 3 copies: a further node is asked to hold one"]);
        findings.sight.learners = vec![member(3)];
        findings.holders.push(holder(3, Role::Newcomer, None));
        assert_eq!(findings.next(), ["a:3 is being brought up as a further copy"]);
    }

    #[test]
    fn a_member_that_came_back_with_another_store_is_brought_up_anew() {
        let mut findings = findings(&[held(5), held(5), held(5)]);
        findings.holders[2].member.store += 1;
        assert_eq!(findings.next(), ["a:3 came back without what it held: it is brought up anew"]);
    }

    #[test]
    fn what_becomes_of_the_range_is_told_first() {
        let changed = |change: &dyn Fn(&mut Sight)| {
            let mut findings = findings(&[held(5), held(5), held(5)]);
            change(&mut findings.sight);
            findings.next()
        };
        let changing = ["the range is changing hands: it is served again in a moment"];
        assert_eq!(changed(&|sight| sight.fenced = true), changing);
        assert_eq!(changed(&|sight| sight.part = Part::TakingOver), changing);
        assert_eq!(changed(&|sight| sight.part = Part::Outside), changing, "nobody says that it is the primary");
        assert_eq!(
            changed(&|sight| sight.settled = false),
            ["the set is new: the primary brings what it has to a majority of it"]
        );
        let forced = changed(&|sight| sight.set.forced = true);
        assert!(forced[0].starts_with("the set was made by survivors without a majority"), "{forced:?}");
    }

    #[test]
    fn who_is_left_goes_on_only_with_half_of_all_that_are_known_and_waits_for_who_only_stops() {
        let mut findings = findings(&[held(5), held(5), held(5)]);
        silence(&mut findings, 1);
        silence(&mut findings, 2);
        findings.cluster.stopped = vec![findings.holders[2].member.peer.id];
        let next = findings.next();
        assert!(next[0].ends_with("go on without them, 10m after a:3 said to be stopping"), "{next:?}");
        (findings.cluster.alive, findings.cluster.known) = (2, 5);
        let why = "only if half of the nodes answer that were there lately, and here 2 of the 5 that are known do";
        assert!(findings.next()[0].ends_with(why), "{:?}", findings.next());
    }

    #[test]
    fn nothing_is_promised_while_a_majority_is_missing() {
        let mut findings = findings(&[held(9), held(5), held(5)]);
        silence(&mut findings, 1);
        silence(&mut findings, 2);
        findings.holders.push(holder(4, Role::Newcomer, held(5)));
        let next = findings.next();
        assert!(next.contains(
            &"a:1, the primary, lacks this version: nothing is sent to it until a majority is back".to_owned()
        ));
        assert!(!next.iter().any(|sentence| sentence.contains("takes its place")), "{next:?}");
    }

    #[test]
    fn a_silent_primary_without_a_spare_node_is_followed_all_the_same() {
        let mut findings = findings(&[held(5), held(5), held(5)]);
        silence(&mut findings, 0);
        findings.sight.part = Part::Member;
        let then = "another holder takes over, no other node is there to take its place, its copy counts again once it is back";
        assert_eq!(findings.next(), [format!("a:1, the primary, does not answer: {then}")]);
    }

    #[test]
    fn no_repair_is_promised_to_or_by_a_disk_that_takes_no_writes() {
        let mut member = findings(&[held(5), held(5), held(9)]);
        member.holders[2].said.as_mut().unwrap().read_only = true;
        let disk = "a:3 takes no writes, its disk failed: nothing is repaired there";
        let lacks = "a:3 lacks this version: it can't take it while its disk takes no writes";
        let alone = "and no other node is there to take its place; mend its disk and restart it";
        assert_eq!(member.next(), [format!("{disk}, {alone}"), lacks.to_owned()]);
        member.cluster.spare = 1;
        let replaced = "another node has to take its place; mend its disk and restart it";
        assert_eq!(member.next(), [format!("{disk}, {replaced}"), lacks.to_owned()]);

        let mut primary = findings(&[held(5), held(9), held(5)]);
        primary.holders[0].said.as_mut().unwrap().read_only = true;
        let disk = "a:1, the primary, takes no writes, its disk failed";
        let then = "reads go on, writes are refused and nothing is repaired here until another is the primary";
        assert_eq!(
            primary.next(),
            [
                format!("{disk}: {then}; mend its disk and restart it"),
                "a:2 lacks this version: the primary sends nothing while its disk takes no writes".to_owned(),
            ]
        );
    }

    #[test]
    fn too_few_holders_that_take_writes_are_said_to_refuse_them() {
        let mut findings = findings(&[held(5), held(5), held(5)]);
        findings.holders[1].said.as_mut().unwrap().read_only = true;
        assert!(!findings.next().iter().any(|sentence| sentence.contains("holders take writes")));
        silence(&mut findings, 2);
        assert_eq!(findings.next()[0], "1 of 3 holders take writes and 2 are needed: reads go on, writes are refused");
    }
}
