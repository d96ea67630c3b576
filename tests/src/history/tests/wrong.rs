//! Histories that no cluster which keeps its promises has, each with what is wrong.

use std::collections::HashSet;
use std::time::Duration;

use crate::history::{Asked, Call, Condition, History, Kind, Options, Report, Told, Version, WriteId, check};

/// Seconds after its end that an unknown write may still be carried out here.
const UNKNOWN_FOR: u64 = 10;

/// A history that is written down call by call. Values are numbers, and so are versions; times are seconds.
#[derive(Default)]
struct Story {
    history: History,
    last: bool,
}

fn version(number: u64) -> Version {
    Version { term: 0, clock: number, store: 1 }
}

fn id(number: u32) -> WriteId {
    WriteId { client: 1, number }
}

fn done(number: u64) -> Told {
    Told::Done(version(number))
}

impl Story {
    fn call(mut self, key: u32, (begun, ended): (u64, u64), asked: Asked, told: Told) -> Self {
        let (begun, ended) = (begun * 1_000_000, ended * 1_000_000);
        let (last, said) = (self.last, String::new());
        self.history.calls.push(Call { key, client: 1, through: 0, begun, ended, asked, told, last, said });
        self
    }

    fn put(self, times: (u64, u64), value: u32, told: Told) -> Self {
        self.call(0, times, Asked::Put(id(value), None), told)
    }

    fn put_if(self, times: (u64, u64), value: u32, condition: Condition, told: Told) -> Self {
        self.call(0, times, Asked::Put(id(value), Some(condition)), told)
    }

    fn delete(self, times: (u64, u64), told: Told) -> Self {
        self.call(0, times, Asked::Delete(None), told)
    }

    /// Reads a value at a version.
    fn get(self, times: (u64, u64), value: u32, at: u64) -> Self {
        self.call(0, times, Asked::Get, Told::Value(version(at), Ok(id(value))))
    }

    fn absent(self, times: (u64, u64)) -> Self {
        self.call(0, times, Asked::Get, Told::Absent)
    }

    /// What follows are the reads when all was over.
    fn then_last(mut self) -> Self {
        self.last = true;
        self
    }

    fn report(&self) -> Report {
        let unknown_for = Duration::from_secs(UNKNOWN_FOR);
        check(&self.history, &Options { unknown_for, ..Options::default() })
    }

    #[track_caller]
    fn is_right(&self) {
        let report = self.report();
        assert!(report.is_clean(), "{report:?}");
    }

    /// Exactly one thing is wrong, at the call of this place.
    #[track_caller]
    fn is_wrong(&self, kind: Kind, call: usize) {
        let found = self.report().violations;
        let told: Vec<_> = found.iter().map(|violation| (violation.kind, violation.call)).collect();
        assert_eq!(told, [(kind, call)], "{found:?}");
    }
}

fn story() -> Story {
    Story::default()
}

const IF_ABSENT: Condition = Condition::IfAbsent;

fn if_version(number: u64) -> Condition {
    Condition::IfVersion(version(number))
}

#[test]
fn an_acknowledged_write_that_the_last_reads_do_not_see_is_lost() {
    story().put((1, 2), 1, done(1)).then_last().absent((9, 10)).is_wrong(Kind::Lost, 1);
    let second = story().put((1, 2), 1, done(1)).put((3, 4), 2, done(2));
    second.then_last().get((9, 10), 1, 1).is_wrong(Kind::Lost, 2);
}

#[test]
fn an_acknowledged_delete_that_the_last_reads_do_not_see_is_lost() {
    let story = story().put((1, 2), 1, done(1)).delete((3, 4), done(2));
    story.then_last().get((9, 10), 1, 1).is_wrong(Kind::Lost, 2);
}

#[test]
fn a_write_that_is_lost_by_the_last_restart_alone_is_lost() {
    let before = story().put((1, 2), 1, done(1)).put((3, 4), 2, done(2)).then_last().get((9, 10), 2, 2);
    before.get((20, 21), 1, 1).is_wrong(Kind::Lost, 3);
    let before = story().put((1, 2), 1, done(1)).then_last().get((9, 10), 1, 1);
    before.absent((20, 21)).is_wrong(Kind::Lost, 2);
}

#[test]
fn a_write_below_a_version_that_was_there_before_it_is_lost_at_once() {
    story().put((1, 2), 1, done(5)).put((3, 4), 2, done(3)).is_wrong(Kind::Lost, 1);
    story().put((1, 2), 1, done(5)).put((1, 4), 2, done(3)).is_right();
}

#[test]
fn a_value_that_is_read_after_its_delete_was_acknowledged_is_resurrected() {
    story().put((1, 2), 1, done(1)).delete((3, 4), done(2)).get((5, 6), 1, 1).is_wrong(Kind::Resurrected, 2);
}

#[test]
fn a_value_that_comes_back_with_a_newer_version_than_its_delete_is_resurrected() {
    story().put((1, 2), 1, done(1)).delete((3, 4), done(2)).get((5, 6), 1, 3).is_wrong(Kind::Resurrected, 2);
    let read = story().put((1, 2), 1, done(1)).put((1, 20), 2, Told::Unknown).get((5, 6), 2, 2);
    read.get((7, 8), 1, 3).is_wrong(Kind::Resurrected, 3);
}

#[test]
fn a_value_that_is_read_after_a_newer_one_was_acknowledged_is_stale() {
    // The writes overlapped, so that only their versions say which one is newer.
    story().put((1, 4), 1, done(1)).put((2, 3), 2, done(2)).get((5, 6), 1, 1).is_wrong(Kind::Stale, 2);
    story().put((1, 4), 1, done(1)).put((2, 3), 2, done(2)).get((3, 6), 1, 1).is_right();
}

#[test]
fn a_value_that_is_not_there_any_more_without_a_delete_is_stale() {
    story().put((1, 2), 1, done(1)).absent((3, 4)).get((5, 6), 1, 1).is_wrong(Kind::Stale, 1);
    story().put((1, 3), 1, done(1)).absent((2, 4)).get((5, 6), 1, 1).is_right();
}

#[test]
fn reads_of_one_key_never_go_back() {
    let unknown = || story().put((1, 2), 1, done(1)).put((3, 30), 2, Told::Unknown).get((5, 6), 2, 2);
    unknown().get((7, 8), 1, 1).is_wrong(Kind::GoingBack, 3);
    unknown().get((6, 8), 1, 1).is_right();
    unknown().absent((7, 8)).is_wrong(Kind::Stale, 3);
    let deleted = || story().put((1, 2), 1, done(1)).delete((3, 30), Told::Unknown).absent((5, 6));
    deleted().get((7, 8), 1, 1).is_wrong(Kind::GoingBack, 3);
    deleted().get((6, 8), 1, 1).is_right();
}

#[test]
fn an_absent_record_that_a_read_had_seen_after_the_last_delete_is_going_back() {
    let story = story().put((1, 2), 1, done(1)).delete((1, 3), Told::Unknown).get((20, 21), 1, 1);
    story.absent((22, 23)).is_wrong(Kind::GoingBack, 3);
}

#[test]
fn an_unknown_write_may_come_late_but_not_too_late() {
    let unknown = || story().put((1, 2), 1, done(1)).put((3, 4), 2, Told::Unknown);
    unknown().get((13, 14), 1, 1).get((15, 16), 2, 2).is_right();
    unknown().get((15, 16), 1, 1).get((17, 18), 2, 2).is_wrong(Kind::Late, 3);
    unknown().put((5, 6), 3, done(2)).get((7, 8), 2, 3).is_right();
    unknown().put((15, 16), 3, done(2)).get((17, 18), 2, 3).is_wrong(Kind::Late, 3);
    unknown().put((15, 16), 3, done(2)).then_last().get((17, 18), 2, 3).is_wrong(Kind::Late, 3);
    story().put((3, 4), 2, Told::Unknown).absent((15, 16)).get((17, 18), 2, 2).is_wrong(Kind::Late, 2);
    story().put((3, 4), 2, Told::Unknown).absent((13, 16)).get((17, 18), 2, 2).is_right();
}

#[test]
fn an_unknown_write_that_was_overtaken_does_not_come_back() {
    let overtaken = || story().put((1, 2), 1, Told::Unknown).put((3, 4), 2, done(2));
    overtaken().get((5, 6), 1, 1).is_wrong(Kind::Stale, 2);
    overtaken().get((5, 6), 2, 2).get((7, 8), 1, 3).get((9, 10), 2, 2).is_wrong(Kind::GoingBack, 4);
}

#[test]
fn an_unknown_write_may_never_come() {
    story().put((1, 2), 1, Told::Unknown).absent((3, 4)).then_last().absent((50, 51)).is_right();
    let deleted = story().put((1, 2), 1, done(1)).delete((3, 4), Told::Unknown);
    deleted.get((5, 6), 1, 1).then_last().get((50, 51), 1, 1).is_right();
}

#[test]
fn an_unknown_delete_that_comes_too_late_loses_a_write() {
    let deleted = || story().put((1, 2), 1, done(1)).delete((3, 4), Told::Unknown);
    deleted().put((15, 16), 2, done(2)).absent((17, 18)).is_wrong(Kind::Stale, 3);
    deleted().put((15, 16), 2, done(2)).then_last().absent((17, 18)).is_wrong(Kind::Lost, 3);
    deleted().put((13, 16), 2, done(2)).absent((17, 18)).is_right();
}

#[test]
fn a_plain_write_that_is_tried_again_may_be_carried_out_twice_while_it_is_open() {
    let twice = || story().put((1, 10), 1, done(5)).put((3, 4), 2, done(3)).get((2, 3), 1, 1);
    twice().get((5, 6), 2, 3).get((11, 12), 1, 5).is_right();
    let deleted = story().delete((1, 10), done(5)).put((3, 4), 2, done(3)).absent((5, 6));
    deleted.absent((11, 12)).is_right();
}

#[test]
fn a_write_that_is_carried_out_again_after_it_was_acknowledged_is_resurrected() {
    let story = story().put((1, 2), 1, done(1)).put((3, 4), 2, done(2)).get((5, 6), 2, 2);
    story.get((7, 8), 1, 3).is_wrong(Kind::Resurrected, 3);
}

#[test]
fn a_value_that_is_damaged_or_of_another_key_is_torn() {
    let torn = Told::Value(version(1), Err("it is the value of another key".to_owned()));
    story().put((1, 2), 1, done(1)).call(0, (3, 4), Asked::Get, torn).is_wrong(Kind::Torn, 1);
    let other = story().put((1, 2), 1, done(1)).call(1, (1, 2), Asked::Put(id(7), None), done(1));
    other.get((3, 4), 7, 1).is_wrong(Kind::Torn, 2);
    story().get((1, 2), 1, 1).put((3, 4), 1, done(1)).is_wrong(Kind::Torn, 0);
}

#[test]
fn a_value_whose_write_was_not_carried_out_is_a_phantom() {
    story().put((1, 2), 1, Told::NotDone).get((3, 4), 1, 1).is_wrong(Kind::Phantom, 1);
    let refused = story().put((1, 2), 1, done(1)).put_if((3, 4), 2, IF_ABSENT, Told::ConditionFailed(Some(version(1))));
    refused.get((5, 6), 2, 2).is_wrong(Kind::Phantom, 2);
}

#[test]
fn two_conditional_writes_on_one_version_are_two_winners() {
    let first = || story().put((1, 2), 1, done(1)).put_if((3, 9), 2, if_version(1), done(2));
    first().put_if((3, 9), 3, if_version(1), done(3)).is_wrong(Kind::TwoWinners, 2);
    first().put_if((3, 9), 3, if_version(2), done(3)).is_right();
    let unknown = || story().put((1, 2), 1, done(1)).put_if((3, 5), 2, if_version(1), Told::Unknown);
    unknown().put_if((3, 5), 3, if_version(1), done(3)).is_right();
    unknown().put_if((3, 5), 3, if_version(1), done(3)).get((6, 7), 2, 4).is_wrong(Kind::TwoWinners, 1);
    let deleted = first().call(0, (3, 9), Asked::Delete(Some(if_version(1))), done(3));
    deleted.is_wrong(Kind::TwoWinners, 2);
}

#[test]
fn two_writes_that_are_both_the_first_are_two_winners() {
    let first = || story().put_if((1, 5), 1, IF_ABSENT, done(1));
    first().put_if((1, 5), 2, IF_ABSENT, done(2)).is_wrong(Kind::TwoWinners, 1);
    first().delete((1, 5), done(2)).put_if((1, 5), 2, IF_ABSENT, done(3)).is_right();
    first().delete((1, 5), Told::Unknown).put_if((1, 5), 2, IF_ABSENT, done(3)).is_right();
    first().delete((6, 7), Told::Unknown).put_if((1, 5), 2, IF_ABSENT, done(3)).is_wrong(Kind::TwoWinners, 2);
}

#[test]
fn a_condition_is_judged_by_the_state_that_there_is() {
    let put = || story().put((1, 2), 1, done(1));
    put().put((3, 4), 2, done(2)).put_if((5, 6), 3, if_version(1), done(3)).is_wrong(Kind::Misjudged, 2);
    put().put_if((3, 4), 2, IF_ABSENT, done(2)).is_wrong(Kind::Misjudged, 1);
    let refused = |current: Option<u64>| Told::ConditionFailed(current.map(version));
    put().put_if((3, 4), 2, if_version(1), refused(Some(1))).is_wrong(Kind::Misjudged, 1);
    put().put_if((3, 4), 2, if_version(1), refused(None)).is_wrong(Kind::Misjudged, 1);
    put().delete((3, 4), done(2)).put_if((5, 6), 2, IF_ABSENT, refused(Some(1))).is_wrong(Kind::Misjudged, 2);
    put().delete((3, 4), done(2)).put_if((5, 6), 2, if_version(1), refused(None)).is_right();
    story().put_if((1, 2), 1, IF_ABSENT, refused(None)).is_wrong(Kind::Misjudged, 0);
}

#[test]
fn two_states_with_one_version_are_forked() {
    story().put((1, 5), 1, done(1)).put((1, 5), 2, done(1)).is_wrong(Kind::Forked, 1);
    let read = story().put((1, 5), 1, done(1)).put((1, 9), 2, Told::Unknown).get((6, 7), 2, 1);
    read.is_wrong(Kind::Forked, 2);
}

#[test]
fn what_is_wrong_with_a_key_whose_set_was_forced_is_told_apart() {
    let story = story().put((1, 2), 1, done(1)).then_last().absent((9, 10));
    let report = check(&story.history, &Options { forced: HashSet::from([0]), ..Options::default() });
    assert!(report.is_clean());
    assert_eq!(report.excused_by_kind().get(&Kind::Lost), Some(&1));
}

#[test]
fn a_key_that_no_last_read_was_answered_for_is_not_passed_over() {
    let story = story().put((1, 2), 1, done(1)).then_last().call(0, (9, 10), Asked::Get, Told::Unknown);
    assert_eq!(story.report().unread, [0]);
}

#[test]
fn a_violation_is_told_with_all_calls_around_it() {
    let story = story().put((1, 2), 1, done(1)).delete((3, 4), done(2)).get((5, 6), 1, 1).absent((7, 8));
    let found = story.report().violations;
    let told = story.history.around(&found[0], 0, 1);
    assert_eq!(told.len(), 4);
    let marked: Vec<bool> = told.iter().map(|line| line.starts_with("=>")).collect();
    assert_eq!(marked, [true, true, true, false], "{told:#?}");
    assert!(told[1].contains("delete → done, version 0-2-0000"), "{told:#?}");
}
