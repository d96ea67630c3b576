//! The machine that decides who holds what.
//!
//! One value plays all parts of a node at once, each in a file of its own: the coordinator of the arcs that
//! the overlay says it owns (`coordinator`, `proposer`, `lost_majority`), a voter about the sets it is a
//! member of (`acceptor`), a newcomer to others (`newcomer`), a primary (`primary`), a member that notices
//! when it hears nothing (`member`), and a leaver (`leaver`). Everything is driven by level, not by edge:
//! [`Control::tick`] compares what is with what should be and does the next step, so nothing that gets lost
//! on the way needs a case of its own.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use overlay::{Failure, Peer, RingId, Share, State, Time, View};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg32;
use ring::{Id, Range};

use crate::arcs::Arcs;
use crate::coordinator::{Inquiry, Lesson};
use crate::jobs::Jobs;
use crate::local::{Duty, Local, Primary};
use crate::notice::Notice;
use crate::peers::Peers;
use crate::proposer::Proposal;
use crate::retry::Retries;
use crate::{
    Answer, CallId, Config, Effect, Event, Holding, Holdings, JobId, Learner, LeaveProgress, Member, Piece, Request,
    Response, Role, Set, Word,
};

/// How often the machine looks again while something is to be done.
const BUSY_PERIOD: Duration = Duration::from_millis(100);
/// And while nothing is.
const IDLE_PERIOD: Duration = Duration::from_millis(1_000);
/// And at least so long apart, however much happens: each look goes over everything.
const LOOK_APART: Duration = Duration::from_millis(10);
/// Deadline of a call.
const CALL_TIMEOUT: Duration = Duration::from_millis(1_000);
/// Questions in one call.
const QUESTIONS_MAX: usize = 64;

/// The machine that decides who holds what: acceptor, proposer, newcomer and primary in one.
#[derive(Clone, Debug)]
pub struct Control {
    pub(crate) me: Member,
    pub(crate) config: Config,
    pub(crate) locals: Arcs<Local>,
    pub(crate) peers: Peers,
    pub(crate) shares: Vec<Share>,
    pub(crate) leaving: bool,
    /// See [`Control::on_disk_failed`].
    pub(crate) read_only: bool,
    /// Since when nobody else has been alive, as far as is known.
    pub(crate) alone_since: Option<Time>,
    pub(crate) alone: bool,
    pub(crate) wall_ms: u64,
    /// The highest ballot round seen anywhere.
    pub(crate) round: u64,
    pub(crate) proposals: Vec<Proposal>,
    pub(crate) proposals_begun: u64,
    pub(crate) lessons: Vec<Lesson>,
    pub(crate) inquiry: Option<Inquiry>,
    /// Where proposals must be cut because some acceptor's pieces end there, and when that was learnt.
    pub(crate) cuts: BTreeMap<Id, Time>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) notices_begun: u64,
    pub(crate) jobs: Jobs,
    pub(crate) retries: Retries,
    pub(crate) located: BTreeMap<Id, Time>,
    pub(crate) refresh_at: Time,
    pub(crate) repair_at: Time,
    /// The range that was last compared for no other reason than that it was time.
    pub(crate) repaired: Option<Id>,
    pub(crate) farewell_at: Time,
    /// This node was in its ring in an earlier life, and so may have missed what others announced before.
    pub(crate) came_back: bool,
    pub(crate) started: Option<Time>,
    /// Something is under way: look again soon.
    pub(crate) busy: bool,
    calls: BTreeMap<CallId, Pending>,
    last_call: u64,
    /// Asked since the last flush: what goes to the same peer goes together.
    questions: Vec<Question>,
    outbox: Vec<Effect>,
    effects: VecDeque<Effect>,
    pub(crate) persisted: Vec<Piece>,
    published: Holdings,
    /// The state of `locals` that was last compared with what is persisted and published.
    flushed: Option<u64>,
    wake: Time,
    /// When everything was last looked at.
    looked: Option<Time>,
    rng: Pcg32,
}

/// A call under way.
#[derive(Clone, Debug)]
struct Pending {
    to: Peer,
    asked: Vec<Asked>,
}

/// A question that is about to go out.
#[derive(Clone, Debug)]
struct Question {
    to: Peer,
    request: Request,
    asked: Asked,
}

/// What a question was for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    Prepare { proposal: u64, member: Member },
    Accept { proposal: u64, member: Member },
    Install { range: Range, number: u64, notice: Option<u64> },
    Sets { range: Range },
    Learn { range: Range, number: u64 },
    Register { range: Range, number: u64 },
    Fetching { range: Range, number: u64 },
    Synced { range: Range, number: u64 },
    Leaving { told: Vec<(Range, u64)> },
}

impl Control {
    /// With the pieces that the disk holds.
    pub fn new(me: Member, config: Config, disk: Vec<Piece>, seed: u64) -> Self {
        let mut control = Self {
            peers: Peers::new(me.clone()),
            me,
            config,
            locals: Arcs::default(),
            shares: Vec::new(),
            leaving: false,
            read_only: false,
            alone_since: None,
            alone: false,
            wall_ms: 0,
            round: 0,
            proposals: Vec::new(),
            proposals_begun: 0,
            lessons: Vec::new(),
            inquiry: None,
            cuts: BTreeMap::new(),
            notices: Vec::new(),
            notices_begun: 0,
            jobs: Jobs::default(),
            retries: Retries::default(),
            located: BTreeMap::new(),
            refresh_at: Time::default(),
            repair_at: Time::default(),
            repaired: None,
            farewell_at: Time::default(),
            came_back: !disk.is_empty(),
            started: None,
            busy: false,
            calls: BTreeMap::new(),
            last_call: 0,
            questions: Vec::new(),
            outbox: Vec::new(),
            effects: VecDeque::new(),
            persisted: Vec::new(),
            published: Holdings::default(),
            flushed: None,
            wake: Time::default(),
            looked: None,
            rng: Pcg32::seed_from_u64(seed),
        };
        control.restore(disk);
        control
    }

    /// This node was in this ring before, though no set of it may have named this node: others may have announced their
    /// stop meanwhile. One that comes back with pieces was.
    pub fn was_here_before(&mut self) {
        self.came_back = true;
    }

    /// This node has just started a ring that never was before: it holds all of it, empty.
    pub fn found(&mut self, now: Time, _ring: RingId) {
        self.forget(now);
        let set = Set { number: 1, members: vec![self.me.clone()], forced: false };
        self.adopt(now, Range::full(self.me.peer.id), &set, None);
        self.evaluate(now);
    }

    /// This node leaves its ring for another: everything known about sets is void there, the records stay to be offered.
    pub fn forget(&mut self, now: Time) {
        self.locals.clear();
        self.proposals.clear();
        self.lessons.clear();
        self.notices.clear();
        self.calls.clear();
        self.questions.clear();
        self.cuts.clear();
        self.inquiry = None;
        self.came_back = false;
        self.shares.clear();
        self.evaluate(now);
    }

    /// The overlay's view changed: shares, who lives, this node's standing. `wall_ms` is the wall clock.
    pub fn on_view(&mut self, now: Time, view: &View, wall_ms: u64) {
        self.wall_ms = self.wall_ms.max(wall_ms);
        if self.me.peer != view.me {
            self.me.peer = view.me.clone();
            self.flushed = None;
        }
        self.peers.on_view(now, &self.me, view);
        let serving = matches!(view.state, State::Ready | State::Leaving);
        self.shares = if serving { view.shares.clone() } else { Vec::new() };
        self.look(now);
    }

    /// The process was paused: nothing that was measured across the gap counts.
    pub fn on_pause(&mut self, now: Time) {
        self.peers.on_pause();
        self.inquiry = None;
        self.alone_since = None;
        for (_, local) in self.locals.values_mut() {
            local.heard = now;
            local.lost_since = local.lost_since.map(|_| now);
            local.heard_of.iter_mut().for_each(|(_, at)| *at = now);
            // A primary with members is told by them that it was replaced; one alone has to ask around.
            if local.primary().is_some() && local.set.members.len() == 1 {
                local.duty = Duty::TakingOver;
                local.unconfirmed = true;
            }
        }
        self.evaluate(now);
    }

    /// Answer a peer. The answer may go out only after the effects that this left were carried out in order.
    pub fn serve(&mut self, now: Time, from: &Member, requests: Vec<Request>) -> Response {
        self.peers.on_word(from);
        let answers = requests.into_iter().map(|request| self.answer(now, from, request)).collect();
        self.flush();
        Response { me: self.me.clone(), leaving: self.leaving, read_only: self.read_only, answers }
    }

    fn answer(&mut self, now: Time, from: &Member, request: Request) -> Answer {
        if self.read_only && request.asks_for_a_promise() {
            return Answer::No("its disk takes no more writes".into());
        }
        match request {
            Request::Sets { range, known } => self.serve_sets(now, range, known),
            Request::Prepare { range, after, ballot } => self.prepare(range, after, ballot),
            Request::Accept { range, after, ballot, set } => self.accept(now, range, after, ballot, set),
            Request::Install { range, set, before, whole } => self.install(now, from, range, (set, before), whole),
            Request::Learn { range, set } => self.serve_learn(now, from, range, &set),
            Request::Register { range, number } => self.register(now, from, range, number),
            Request::Fetching { range, number } => self.hear_of(now, from, range, number, false),
            Request::Synced { range, number } => self.hear_of(now, from, range, number, true),
            Request::Leaving => self.serve_leaving(now, from),
        }
    }

    /// A call ended.
    pub fn on_reply(&mut self, now: Time, call: CallId, result: Result<Response, Failure>) {
        let Some(Pending { to, mut asked }) = self.calls.remove(&call) else { return };
        match result {
            Ok(response) => {
                self.peers.on_response(now, &response);
                let unanswered = asked.split_off(response.answers.len().min(asked.len()));
                for (asked, answer) in asked.into_iter().zip(response.answers) {
                    self.on_answer(now, asked, Word { me: response.me.clone(), answer });
                }
                unanswered.iter().for_each(|asked| self.on_silence(now, &to, asked));
            }
            Err(failure) => {
                self.peers.on_failure(now, &to, &failure);
                asked.iter().for_each(|asked| self.on_silence(now, &to, asked));
            }
        }
        self.look(now);
    }

    /// A job ended: begun at that moment of the hybrid clock it did all that it was to do. `Err` says why not; it is
    /// started again later where it is still wanted.
    pub fn on_job(&mut self, now: Time, job: JobId, result: Result<u64, String>) {
        self.job_ended(now, job, result);
        self.look(now);
    }

    /// A lookup asked for by [`Effect::Locate`] ended.
    pub fn on_located(&mut self, now: Time, target: Id, owner: Option<Peer>) {
        if let Some(owner) = owner {
            self.ask_owner(target, owner);
        }
        self.look(now);
    }

    /// A storage call met somebody who knows this newer set.
    pub fn on_newer(&mut self, now: Time, range: Range, set: Set) {
        self.learn_set(now, range, &set);
        self.look(now);
    }

    /// A write could not be brought to a synced learner in time: it must not count as synced any more
    /// before that write is acknowledged. False when it is too late for that, because the learner may already
    /// be in a later set: then the write must fail.
    pub fn drop_learner(&mut self, now: Time, range: Range, number: u64, learner: &Member) -> bool {
        let dropped = self.take_off(now, range, number, learner);
        self.flush();
        dropped
    }

    /// A write did not reach this member of a set that this node is the primary of: spread to it again.
    pub fn on_lagging(&mut self, now: Time, range: Range, number: u64, member: &Member) {
        self.mark_behind(range, number, member);
        self.wake = self.wake.min(now.plus(BUSY_PERIOD));
    }

    /// Hand everything over; see [`Control::leave_progress`].
    pub fn leave(&mut self, now: Time) {
        self.leaving = true;
        self.farewell_at = now;
        self.part_as_newcomer(now);
        self.evaluate(now);
    }

    /// How far that is.
    pub fn leave_progress(&self) -> LeaveProgress {
        self.farewell_progress()
    }

    /// Handle what is due.
    pub fn tick(&mut self, now: Time, wall_ms: u64) {
        self.wall_ms = self.wall_ms.max(wall_ms);
        self.evaluate(now);
    }

    /// When [`Control::tick`] is wanted next: never in the past of the last input. `None` before the first view.
    pub fn next_wake(&self) -> Option<Time> {
        self.started.map(|_| self.wake)
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The pieces as they were last to be on disk.
    pub fn persisted(&self) -> &[Piece] {
        &self.persisted
    }

    /// What handlers act by.
    pub fn holdings(&self) -> &Holdings {
        &self.published
    }

    /// Something has happened: does the next step of everything, now or in a moment.
    fn look(&mut self, now: Time) {
        match self.looked {
            Some(looked) if now.since(looked) < LOOK_APART => {
                self.wake = self.wake.min(looked.plus(LOOK_APART));
                self.flush();
            }
            _ => self.evaluate(now),
        }
    }

    /// Compares what is with what should be, and does the next step of everything.
    fn evaluate(&mut self, now: Time) {
        self.looked = Some(now);
        self.busy = false;
        self.note_start(now);
        self.forget_strangers();
        self.expire_proposals(now);
        self.watch_majorities(now);
        self.coordinate(now);
        self.be_newcomer(now);
        self.be_primary(now);
        self.be_member(now);
        self.say_farewell(now);
        self.send_notices(now);
        self.prune(now);
        self.locals.settle();
        self.flush();
        let period = if self.busy { BUSY_PERIOD } else { IDLE_PERIOD };
        self.wake = now.plus(self.jittered(period));
    }

    /// Something changed outside of [`Control::evaluate`]: look soon.
    pub(crate) fn hurry(&mut self, now: Time) {
        self.wake = self.wake.min(now);
    }

    /// Between three quarters and five quarters of `period`.
    pub(crate) fn jittered(&mut self, period: Duration) -> Duration {
        let micros = u64::try_from(period.as_micros()).unwrap_or(u64::MAX).max(2);
        Duration::from_micros(micros - micros / 4 + self.rng.next_u64() % (micros / 2))
    }

    pub(crate) fn call(&mut self, to: Peer, request: Request, asked: Asked) {
        self.questions.push(Question { to, request, asked });
    }

    /// Whether anybody is being asked this.
    pub(crate) fn is_asking(&self, is: impl Fn(&Asked) -> bool) -> bool {
        self.calls.values().flat_map(|pending| &pending.asked).any(&is)
            || self.questions.iter().any(|question| is(&question.asked))
    }

    /// Whether this peer is being asked this.
    pub(crate) fn calling(&self, to: Id, is: impl Fn(&Asked) -> bool) -> bool {
        self.calls.values().filter(|pending| pending.to.id == to).flat_map(|pending| &pending.asked).any(&is)
            || self.questions.iter().any(|question| question.to.id == to && is(&question.asked))
    }

    /// Puts the questions to each peer into calls.
    fn ask(&mut self) {
        let mut calls: Vec<(Peer, Vec<Request>, Vec<Asked>)> = Vec::new();
        for Question { to, request, asked } in self.questions.drain(..) {
            let same = |(peer, requests, _): &&mut (Peer, Vec<Request>, Vec<Asked>)| {
                *peer == to && requests.len() < QUESTIONS_MAX
            };
            match calls.iter_mut().rev().find(same) {
                Some((_, requests, all)) => {
                    requests.push(request);
                    all.push(asked);
                }
                None => calls.push((to, vec![request], vec![asked])),
            }
        }
        for (to, requests, asked) in calls {
            self.last_call += 1;
            let call = CallId(self.last_call);
            self.calls.insert(call, Pending { to: to.clone(), asked });
            self.outbox.push(Effect::Call { call, to, requests, timeout: CALL_TIMEOUT });
        }
    }

    pub(crate) fn emit(&mut self, effect: Effect) {
        self.outbox.push(effect);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.outbox.push(Effect::Event(event));
    }

    /// Lets the effects go: first what must be on disk, then what handlers must see, then the rest.
    pub(crate) fn flush(&mut self) {
        if self.flushed != Some(self.locals.changes()) {
            self.flushed = Some(self.locals.changes());
            self.publish();
        }
        self.ask();
        self.effects.extend(self.outbox.drain(..));
    }

    /// What is promised goes to disk, and what handlers act by is told, where it has changed.
    fn publish(&mut self) {
        let kept = self.persisted.len() == self.locals.len();
        let mut both = self.locals.iter().zip(&self.persisted);
        if !(kept && both.all(|((range, local), piece)| local.is_piece(range, &self.me, piece))) {
            self.persisted = self.locals.iter().map(|(range, local)| local.piece(range, &self.me)).collect();
            self.effects.push_back(Effect::Persist(self.persisted.clone()));
        }
        let told = self.published.ranges.len() == self.locals.len();
        let mut both = self.locals.iter().zip(&self.published.ranges);
        if !(told && both.all(|((range, local), holding)| self.is_holding(range, local, holding))) {
            self.published = self.compute_holdings();
            self.effects.push_back(Effect::Publish(self.published.clone()));
        }
    }

    /// Whether this is what is published of a range already.
    fn is_holding(&self, range: Range, local: &Local, holding: &Holding) -> bool {
        let fenced = local.accepted.is_some();
        (holding.range, holding.fenced) == (range, fenced)
            && holding.set == local.set
            && holding.missing == local.missing
            && holding.read_only == local.read_only
            && holding.whole == local.whole_everywhere()
            && holding.role == self.role(local)
    }

    fn compute_holdings(&self) -> Holdings {
        let ranges = self.locals.iter().map(|(range, local)| Holding {
            range,
            set: local.set.clone(),
            role: self.role(local),
            missing: local.missing.clone(),
            read_only: local.read_only.clone(),
            fenced: local.accepted.is_some(),
            whole: local.whole_everywhere(),
        });
        Holdings { ranges: ranges.collect() }
    }

    fn role(&self, local: &Local) -> Role {
        match &local.duty {
            Duty::TakingOver => Role::TakingOver,
            Duty::Primary(Primary { learners, settled, .. }) => {
                let learners: Vec<Learner> = learners.clone();
                Role::Primary { learners, settled: *settled }
            }
            Duty::None if local.set.includes(&self.me) => Role::Member,
            Duty::None if local.newcomer.is_some() => Role::Newcomer,
            Duty::None => Role::Outside,
        }
    }

    fn note_start(&mut self, now: Time) {
        if self.started.is_none() {
            self.started = Some(now);
            for (_, local) in self.locals.values_mut() {
                local.heard = now;
            }
        }
    }

    fn on_answer(&mut self, now: Time, asked: Asked, word: Word) {
        if let Answer::Pieces(pieces) = &word.answer {
            self.learn_pieces(now, pieces);
        }
        match asked {
            Asked::Prepare { proposal, member } => self.on_prepared(now, proposal, &member, word),
            Asked::Accept { proposal, member } => self.on_accepted(now, proposal, &member, word),
            Asked::Install { range, number, notice } => self.on_installed(range, number, notice, &word),
            Asked::Sets { range } => self.on_sets(now, range, &word),
            Asked::Learn { range, number } => self.on_lesson(now, range, number, word),
            Asked::Register { range, number } => self.on_registered(now, range, number, &word),
            Asked::Fetching { range, number } => self.on_still_registered(now, range, number),
            Asked::Synced { range, number } => self.on_synced(now, range, number, &word),
            Asked::Leaving { told } => self.on_released(&told, &word),
        }
    }

    fn on_silence(&mut self, now: Time, to: &Peer, asked: &Asked) {
        match asked {
            Asked::Register { number, .. } | Asked::Synced { number, .. } => {
                self.back_off(now, crate::retry::Kind::Newcomer, to.id, *number);
            }
            Asked::Learn { .. } => self.on_lesson_lost(now, to),
            Asked::Prepare { proposal, .. } | Asked::Accept { proposal, .. } => self.on_vote_lost(now, *proposal),
            _ => {}
        }
    }
}
