//! What the owner of an arc does for it, whether it is in the arc's set or not: find out which set is the
//! newest, have wanted holders fetch the records, and propose the next set.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use overlay::{Peer, Share, Time};
use ring::{Id, Range};

use crate::control::Asked;
use crate::local::Local;
use crate::next_set::{Health, Situation, next_members};
use crate::{Answer, Control, Member, Piece, Request, Set, Word};

/// "Learnt" is believed for so long after it should have been asked for again.
const LEARNT_FOR: Duration = Duration::from_secs(1);
/// How soon a newcomer is asked again how far it is: each time half as long again after that, up to the second value.
const POLL_PERIOD: Duration = Duration::from_millis(200);
const POLL_PERIOD_MAX: Duration = Duration::from_millis(1_000);
/// After a refusal, a newcomer is asked again so late.
const REFUSED_FOR: Duration = Duration::from_millis(700);
/// A change does not wait longer for newcomers that are still fetching, once there is something to change without them.
const PATIENCE: Duration = Duration::from_secs(5);
/// Somebody else's unfinished proposal is left alone for so long.
const UNFINISHED_FOR: Duration = Duration::from_millis(500);
/// A set stands at least so long before its members are put into another order while its primary lives.
const REORDER_AFTER: Duration = Duration::from_secs(2);
/// How often the same peer is asked what it knows.
const INQUIRY_PERIOD: Duration = Duration::from_millis(1_000);
/// Peers asked in each round, the likeliest first.
const INQUIRY_WIDTH: usize = 3;
/// After so long twice as many are asked in each round as in the one before, until everybody was.
const INQUIRY_NARROW: Duration = Duration::from_millis(1_000);
/// How long a round waits for what those before it bring.
const INQUIRY_ROUND: Duration = Duration::from_millis(100);

/// A wanted holder that was asked to fetch a range.
#[derive(Clone, Debug)]
pub(crate) struct Lesson {
    range: Range,
    number: u64,
    to: Id,
    state: LessonState,
    due: Time,
    period: Duration,
}

#[derive(Clone, Debug)]
enum LessonState {
    Learning,
    Learnt(Member),
    Refused,
}

/// Asking around about arcs that nobody here knows a (living) set of.
#[derive(Clone, Debug)]
pub(crate) struct Inquiry {
    /// The arcs.
    pub(crate) ranges: Vec<Range>,
    /// Since when.
    pub(crate) since: Time,
    asked: BTreeMap<Id, Time>,
    answered: BTreeSet<(Id, Range)>,
    /// When the next round begins, and how many it asks.
    next_round: Time,
    width: usize,
}

/// Who may be in a share's next set.
struct Eligible {
    /// In order of preference.
    peers: Vec<Peer>,
    /// While everybody is leaving the one with the lowest identifier takes all.
    last: Option<Id>,
}

impl Control {
    /// Looks after every arc that the overlay says is this node's.
    pub(crate) fn coordinate(&mut self, now: Time) {
        let shares = self.shares.clone();
        let parts: Vec<(usize, Range, Local)> = shares
            .iter()
            .enumerate()
            .flat_map(|(share, Share { range, .. })| {
                self.locals.over(*range).into_iter().map(move |(part, local)| (share, part, local))
            })
            .collect();
        self.forget_lessons(&parts);
        self.verify(now, &parts);
        // One number for all, so that neighbours whose sets come to be the same join.
        let number = 1 + parts.iter().map(|(_, _, local)| local.set.number).max().unwrap_or(0);
        let eligible: Vec<Eligible> = shares.iter().map(|share| self.eligible(now, share)).collect();
        for (share, range, local) in parts {
            self.coordinate_part(now, (&shares[share], &eligible[share]), range, &local, number);
        }
        self.inquire(now);
    }

    fn coordinate_part(
        &mut self,
        now: Time,
        (share, eligible): (&Share, &Eligible),
        range: Range,
        local: &Local,
        number: u64,
    ) {
        if !self.has_majority(now, &local.set) {
            return;
        }
        let mut wanted = Vec::new();
        let mut waiting = false;
        for peer in &eligible.peers {
            if wanted.len() >= self.config.replicas {
                break;
            }
            match self.candidate(now, range, &local.set, peer) {
                Candidate::Ready(member) => wanted.push(member),
                Candidate::Fetching => waiting = true,
                Candidate::Refuses => {}
            }
        }
        let stays = |member: &Member| Some(member.peer.id) == eligible.last || !self.is_leaving(member.peer.id);
        let health = |member: &Member| Health { alive: self.peers.alive(now, member), leaving: !stays(member) };
        // Where data lies apart from its owner, whoever orders the writes goes on with it.
        let holds = share.holders.first().is_some_and(|first| first.id == self.me.peer.id);
        let owner = (holds && stays(&self.me) && !self.read_only).then_some(&self.me);
        let situation =
            Situation { current: &local.set, wanted: &wanted, waiting, replicas: self.config.replicas, owner };
        let members = next_members(&situation, health);
        let next = Set { number, members, forced: false };
        let urgent = !self.peers.alive(now, local.set.primary());
        // Two nodes may both believe that they are the owner, until the overlay has settled it: no duels meanwhile.
        let premature = !urgent && next.same_members(&local.set) && now.since(local.since) < REORDER_AFTER;
        if premature && next.members != local.set.members {
            self.busy = true;
            return;
        }
        self.pursue(now, range, local, next, waiting && !urgent);
    }

    /// Proposes `next` if it says something new, or if somebody's proposal was left unfinished.
    fn pursue(&mut self, now: Time, range: Range, local: &Local, next: Set, waiting: bool) {
        let unfinished = local.unfinished
            || local.accepted.is_some() && local.fenced_at.is_some_and(|at| now.since(at) > UNFINISHED_FOR);
        let changed = next.members != local.set.members;
        self.busy |= changed || waiting || local.accepted.is_some();
        let since = if changed && waiting { local.waiting_since.or(Some(now)) } else { None };
        if since != local.waiting_since {
            self.locals.update(range, |_, local| local.waiting_since = since);
        }
        let patient = since.is_some_and(|since| now.since(since) < PATIENCE);
        if unfinished || changed && !patient {
            self.propose(now, range, &local.set, &next);
        }
    }

    /// Who may be in the next set of a share.
    fn eligible(&self, now: Time, share: &Share) -> Eligible {
        let me = self.me.peer.id;
        let writes = |peer: &Peer| !self.peers.is_read_only(peer.id);
        let lives = |peer: &Peer| peer.id == me || self.peers.peer_alive(now, peer);
        let stays = |peer: &Peer| !self.is_leaving(peer.id) && writes(peer) && lives(peer);
        let mut holders: Vec<Peer> = share.holders.iter().filter(|peer| stays(peer)).cloned().collect();
        // Of a disk that failed the overlay knows nothing, and of a leaver nothing until that is gone: it may name nobody in
        // that node's place.
        let is_replaced = |peer: &Peer| !writes(peer) || self.is_leaving(peer.id);
        let short = share.holders.iter().any(is_replaced) && holders.len() < self.config.replicas;
        if holders.is_empty() || short {
            let mut others = self.peers.living(now);
            others.retain(|peer| stays(peer) && !holders.iter().any(|one| one.id == peer.id));
            others.sort_by_key(|peer| me.distance_to(peer.id));
            holders.extend(others);
        }
        if !holders.is_empty() {
            return Eligible { peers: holders, last: None };
        }
        let all = self.peers.living(now).into_iter().chain([self.me.peer.clone()]);
        let lowest = all.filter(writes).min_by_key(|peer| peer.id);
        Eligible { last: lowest.as_ref().map(|peer| peer.id), peers: lowest.into_iter().collect() }
    }

    pub(crate) fn is_leaving(&self, id: Id) -> bool {
        if id == self.me.peer.id { self.leaving } else { self.peers.leaving(id) }
    }

    /// How far a wanted holder is; asks it to fetch the range if it should.
    fn candidate(&mut self, now: Time, range: Range, set: &Set, peer: &Peer) -> Candidate {
        if let Some(member) = self.peers.member(peer)
            && let Some(member) = set.members.iter().find(|one| one.is(&member))
        {
            return Candidate::Ready(member.clone());
        }
        if let Some(member) = set.members.iter().find(|one| one.peer.id == peer.id)
            && self.peers.unverified(member)
        {
            return Candidate::Ready(member.clone());
        }
        if !self.peers.alive(now, set.primary()) {
            return Candidate::Refuses;
        }
        if peer.id == self.me.peer.id {
            let me = self.me.clone();
            return match self.serve_learn(now, &me.clone(), range, set) {
                Answer::Learnt { number } if number == set.number => Candidate::Ready(me),
                Answer::No(_) => Candidate::Refuses,
                _ => Candidate::Fetching,
            };
        }
        self.teach(now, range, set, peer)
    }

    fn teach(&mut self, now: Time, range: Range, set: &Set, peer: &Peer) -> Candidate {
        let number = set.number;
        let is_it = |lesson: &Lesson| lesson.range == range && lesson.number == number && lesson.to == peer.id;
        let calling = self.calling(peer.id, |asked| *asked == Asked::Learn { range, number });
        let place = self.lessons.iter().position(is_it).unwrap_or_else(|| {
            let state = LessonState::Learning;
            self.lessons.push(Lesson { range, number, to: peer.id, state, due: now, period: POLL_PERIOD });
            self.lessons.len() - 1
        });
        let lesson = &mut self.lessons[place];
        // Whoever was not wanted for a while may have given up since.
        if matches!(lesson.state, LessonState::Learnt(_)) && now.since(lesson.due) > LEARNT_FOR {
            lesson.state = LessonState::Learning;
        }
        if lesson.due <= now && !calling {
            lesson.due = now.plus(lesson.period);
            lesson.period = (lesson.period * 3 / 2).min(POLL_PERIOD_MAX);
            let to = self.peers.member(peer).map_or_else(|| peer.clone(), |member| member.peer);
            self.call(to, Request::Learn { range, set: set.clone() }, Asked::Learn { range, number });
        }
        match &self.lessons[place].state {
            LessonState::Learning => Candidate::Fetching,
            LessonState::Learnt(member) => Candidate::Ready(member.clone()),
            LessonState::Refused => Candidate::Refuses,
        }
    }

    pub(crate) fn on_lesson(&mut self, now: Time, range: Range, number: u64, word: Word) {
        let is_it =
            |lesson: &&mut Lesson| lesson.range == range && lesson.number == number && lesson.to == word.me.peer.id;
        let Some(lesson) = self.lessons.iter_mut().find(is_it) else { return };
        lesson.state = match word.answer {
            Answer::Learnt { number } if number == lesson.number => LessonState::Learnt(word.me),
            Answer::No(_) => {
                lesson.due = now.plus(REFUSED_FOR);
                LessonState::Refused
            }
            _ => LessonState::Learning,
        };
    }

    pub(crate) fn on_lesson_lost(&mut self, now: Time, to: &Peer) {
        for lesson in self.lessons.iter_mut().filter(|lesson| lesson.to == to.id) {
            lesson.due = now.plus(REFUSED_FOR);
            lesson.state = LessonState::Refused;
        }
    }

    fn forget_lessons(&mut self, parts: &[(usize, Range, Local)]) {
        self.lessons.retain(|lesson| {
            parts.iter().any(|(_, range, local)| *range == lesson.range && local.set.number == lesson.number)
        });
    }

    /// Makes sure that a member which came back still has its store, and that whoever did not answer still lives.
    fn verify(&mut self, now: Time, parts: &[(usize, Range, Local)]) {
        let members: Vec<Member> = parts.iter().flat_map(|(_, _, local)| local.set.members.iter().cloned()).collect();
        let me = self.me.peer.id;
        let range = Range::new(me, me.plus_power(0));
        for peer in self.peers.doubtful(now, &members) {
            self.call(peer, Request::Sets { range, known: Vec::new() }, Asked::Sets { range });
        }
    }

    /// Asks around about arcs of which no set is known here, or whose set has no majority any more, or may be old.
    fn inquire(&mut self, now: Time) {
        let open = self.open_ranges();
        if open.is_empty() {
            self.inquiry = None;
            return;
        }
        self.busy = true;
        let goes_on = self.inquiry.as_ref().is_some_and(|inquiry| {
            open.iter().all(|range| inquiry.ranges.iter().any(|one| one.contains_range(*range)))
        });
        if !goes_on {
            let (asked, answered) = (BTreeMap::new(), BTreeSet::new());
            let ranges = merged(open);
            let width = INQUIRY_WIDTH;
            self.inquiry = Some(Inquiry { ranges, since: now, asked, answered, next_round: now, width });
        }
        if self.all_answered(now) {
            self.confirm_own();
        }
        let Some(mut inquiry) = self.inquiry.take_if(|inquiry| inquiry.next_round <= now) else { return };
        let mut peers = self.peers.living(now);
        // The holders that the overlay names are the likeliest to know.
        let named = |id: Id| self.shares.iter().any(|share| share.holders.iter().any(|holder| holder.id == id));
        peers.sort_by_key(|peer| (!named(peer.id), self.me.peer.id.distance_to(peer.id)));
        let due = |peer: &&Peer| inquiry.asked.get(&peer.id).is_none_or(|at| now.since(*at) > INQUIRY_PERIOD);
        let asked: Vec<Peer> = peers.iter().filter(due).take(inquiry.width).cloned().collect();
        inquiry.next_round = now.plus(INQUIRY_ROUND);
        if now.since(inquiry.since) >= INQUIRY_NARROW {
            inquiry.width = inquiry.width.saturating_mul(2);
        }
        for peer in asked {
            inquiry.asked.insert(peer.id, now);
            for range in inquiry.ranges.clone() {
                let asked = Asked::Sets { range };
                if !self.calling(peer.id, |one| *one == asked) {
                    let known = self.known_over(range);
                    self.call(peer.clone(), Request::Sets { range, known }, asked);
                }
            }
        }
        self.inquiry = Some(inquiry);
    }

    /// Everybody was asked and nobody knew better: what this node came back with is the newest.
    fn confirm_own(&mut self) {
        for range in self.inquiry.iter().flat_map(|inquiry| inquiry.ranges.clone()) {
            self.locals.update(range, |_, local| local.unconfirmed = false);
        }
    }

    /// Parts of this node's arcs without a known set, or with one that has lost its majority or may be old.
    fn open_ranges(&self) -> Vec<Range> {
        let mut open = Vec::new();
        for share in &self.shares {
            open.extend(self.locals.gaps(share.range));
            let doubtful = |local: &Local| local.lost_since.is_some() || local.unconfirmed;
            let parts = self.locals.over(share.range).into_iter();
            open.extend(parts.filter(|(_, local)| doubtful(local)).map(|(range, _)| range));
        }
        open
    }

    /// Everybody alive has been asked about the open arcs since they were, and has answered.
    pub(crate) fn all_answered(&self, now: Time) -> bool {
        self.inquiry.as_ref().is_some_and(|inquiry| {
            let answered =
                |peer: &Peer| inquiry.ranges.iter().all(|range| inquiry.answered.contains(&(peer.id, *range)));
            self.peers.living(now).iter().all(answered)
        })
    }

    /// An answer to a question about sets; the pieces in it were already learnt.
    pub(crate) fn on_sets(&mut self, now: Time, range: Range, word: &Word) {
        let Answer::Pieces(pieces) = &word.answer else { return };
        for piece in pieces {
            self.confirm(now, piece.range, &piece.set);
            // Outside of this node's arcs it is the owner that was asked.
            for part in self.outside_shares(piece.range) {
                self.locals.update(part, |_, local| local.unconfirmed &= local.set.number != piece.set.number);
            }
        }
        if let Some(inquiry) = &mut self.inquiry
            && inquiry.ranges.contains(&range)
        {
            inquiry.answered.insert((word.me.peer.id, range));
        }
    }

    pub(crate) fn serve_sets(&mut self, now: Time, range: Range, known: Vec<Piece>) -> Answer {
        self.learn_pieces(now, &known);
        // The asker is fenced by a proposal that its proposer left unfinished.
        for piece in known.iter().filter(|piece| piece.accepted.is_some()) {
            for share in self.shares.clone() {
                for part in piece.range.intersect(share.range) {
                    self.locals.update(part, |_, local| local.unfinished |= local.set.number == piece.set.number);
                }
            }
        }
        self.pieces_over(range)
    }

    pub(crate) fn learn_pieces(&mut self, now: Time, pieces: &[Piece]) {
        for piece in pieces {
            self.learn_set(now, piece.range, &piece.set);
        }
    }

    /// Somebody calls this set accepted: that matters where this node knows an older one, is a member, or the owner.
    pub(crate) fn learn_set(&mut self, now: Time, range: Range, set: &Set) {
        if set.members.is_empty() {
            return;
        }
        let mut parts: Vec<Range> = self.locals.over(range).into_iter().map(|(part, _)| part).collect();
        for gap in self.locals.gaps(range) {
            if set.includes(&self.me) {
                parts.push(gap);
            } else {
                parts.extend(self.shares.iter().flat_map(|share| gap.intersect(share.range)));
            }
        }
        for part in parts {
            self.adopt(now, part, set, None);
        }
    }
}

/// The same identifiers in as few arcs as can be, where the arcs come in order.
fn merged(arcs: Vec<Range>) -> Vec<Range> {
    let mut merged: Vec<Range> = Vec::new();
    for arc in arcs {
        match merged.last_mut() {
            Some(last) if last.upto == arc.after && !last.is_full() && !arc.is_full() => {
                *last = Range::new(last.after, arc.upto);
            }
            _ => merged.push(arc),
        }
    }
    merged
}

enum Candidate {
    Ready(Member),
    Fetching,
    Refuses,
}
