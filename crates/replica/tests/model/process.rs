//! One process: a real [`Control`], what it waits for, and its disk. Every step is a function of the process and one
//! input, so that it is carried out once however often the world comes by it.
//!
//! Its clock stands still but for [`Input::Wait`], which takes it further than any period or back-off reaches. So
//! everything that is due is done at once, and what is due later is due after the next wait.

use std::time::Duration;

use overlay::{Addr, Failure, Known, Peer, Share, State, Time, View};
use replica::{Answer, CallId, Config, Control, Effect, Holding, Job, JobId, Member, Piece, Request, Response, Set};
use ring::{Id, Range, Space};

use crate::canonical::canonical;
use crate::intern::Interned;

/// Longer than whatever the machine waits for, shorter than what it keeps old sets for.
const STEP: u64 = 6_000_000;
const START: u64 = 1_000_000;
const WALL_MS: u64 = 1_800_000_000_000;
/// Up to when copies are whole is not looked at here.
const BEGUN: u64 = 0;
/// Nor is what is compared though nobody was seen to miss anything.
const NEVER: Duration = Duration::from_secs(1_000_000);

pub(crate) fn id(place: u64) -> Id {
    Space::new(8).unwrap().id(place).unwrap()
}

pub(crate) fn whole() -> Range {
    Range::full(id(0))
}

pub(crate) fn name(process: usize) -> char {
    char::from(b'A' + u8::try_from(process).unwrap())
}

pub(crate) fn peer(process: usize) -> Peer {
    let addr = Addr::new(&name(process).to_string()).unwrap();
    Peer { id: id(10 * (process as u64 + 1)), addr, incarnation: 1 }
}

pub(crate) fn member(process: usize) -> Member {
    Member { peer: peer(process), store: 1 }
}

pub(crate) fn process_of(peer: &Peer) -> usize {
    usize::from(peer.id.to_bytes()[0]) / 10 - 1
}

pub(crate) fn set(number: u64, members: &[usize]) -> Set {
    Set { number, members: members.iter().map(|process| member(*process)).collect(), forced: false }
}

/// What a process believes about the others: as the overlay tells it.
#[derive(Clone, Default, Debug)]
pub(crate) struct Belief {
    /// It takes itself for the owner of the range, and wants these to hold it.
    pub(crate) wants: Option<Vec<usize>>,
    /// It takes these for dead.
    pub(crate) dead: Vec<usize>,
}

/// What is said, by number.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) requests: Interned<Vec<Request>, Vec<Request>>,
    pub(crate) responses: Interned<Response, Response>,
    pub(crate) sets: Interned<Set, Set>,
}

/// Something happens to a process. Requests, responses and sets are numbers in [`Said`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Input {
    /// A call arrives.
    Serve {
        from: usize,
        requests: u32,
    },
    /// A call of its own ends; `None`: without an answer.
    Reply {
        to: usize,
        requests: u32,
        response: Option<u32>,
    },
    /// A job got somebody's listing and what it lacked.
    Listed {
        job: usize,
        from: usize,
    },
    /// A job ended.
    Ended {
        job: usize,
        well: bool,
    },
    /// Somebody knows a newer set.
    Newer {
        set: u32,
    },
    /// A write did not reach a newcomer.
    Drop {
        number: u64,
        learner: usize,
    },
    /// A write did not reach a member.
    Lagging {
        number: u64,
        member: usize,
    },
    /// Time passes.
    Wait,
    /// The overlay found an owner of the range.
    Found {
        owner: usize,
    },
    /// From now on it believes what the rules say.
    Believe,
    Crash,
    /// With the disk, or without what it had promised.
    Restart {
        life: usize,
        forgets: bool,
    },
}

/// What came of an input.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Outcome {
    /// The answer to a call.
    pub(crate) response: Option<u32>,
    /// Calls that it makes: to whom, and the requests.
    pub(crate) calls: Vec<(usize, u32)>,
    /// Whether a newcomer was dropped.
    pub(crate) dropped: bool,
}

/// A job under way, and by whom it was listed.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    id: JobId,
    pub(crate) job: Job,
    pub(crate) listed: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Waiting {
    call: CallId,
    to: usize,
    requests: u32,
}

/// A process, up or down.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    me: usize,
    /// `None`: down.
    control: Option<Control>,
    now: u64,
    waiting: Vec<Waiting>,
    pub(crate) jobs: Vec<Running>,
    /// It waits for the overlay to find it the owner of this.
    seeks: Option<Id>,
    pub(crate) disk: Vec<Piece>,
}

/// What the world runs by, as far as a process has to know it.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) processes: usize,
    pub(crate) replicas: usize,
    /// By process, then by life; the last one holds for all later lives.
    pub(crate) beliefs: Vec<Vec<Belief>>,
}

impl Process {
    /// With an empty disk.
    pub(crate) fn new(me: usize, rules: &Rules) -> Self {
        let mut process = Self::down(me, Vec::new());
        process.begin(rules, &Belief::default());
        process
    }

    fn down(me: usize, disk: Vec<Piece>) -> Self {
        Self { me, control: None, now: START, waiting: Vec::new(), jobs: Vec::new(), seeks: None, disk }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.control.is_some()
    }

    /// Whether it waits for the overlay to find it an owner.
    pub(crate) fn seeks(&self) -> bool {
        self.seeks.is_some()
    }

    /// Calls of it that have not ended.
    pub(crate) fn waits_for(&self) -> impl Iterator<Item = (usize, u32)> {
        self.waiting.iter().map(|waiting| (waiting.to, waiting.requests))
    }

    /// Its part in the range, as its handlers see it.
    pub(crate) fn holding(&self) -> Option<&Holding> {
        let ranges = &self.control.as_ref()?.holdings().ranges;
        assert!(ranges.len() <= 1, "the range is never cut here: {ranges:?}");
        ranges.first()
    }

    /// The same for two processes that no later input can tell apart; `waiting`: not even by what they wait for.
    pub(crate) fn key(&self, waiting: bool) -> String {
        let Some(control) = &self.control else { return format!("{} down {:?}", self.me, self.disk) };
        let without: &[&str] = if waiting { &[] } else { &["calls"] };
        let waiting: Vec<_> = self.waits_for().filter(|_| waiting).collect();
        let jobs: Vec<_> = self.jobs.iter().map(|running| (&running.job, &running.listed)).collect();
        let control = canonical(&format!("{control:?}"), self.now, without);
        format!("{control} {waiting:?} {jobs:?} {:?}", self.seeks)
    }

    /// What becomes of it.
    pub(crate) fn after(&self, input: Input, rules: &Rules, said: &mut Said) -> (Self, Outcome) {
        let mut next = self.clone();
        let outcome = next.step(input, rules, said);
        (next, outcome)
    }

    fn step(&mut self, input: Input, rules: &Rules, said: &mut Said) -> Outcome {
        let mut outcome = Outcome::default();
        match input {
            Input::Crash => {
                *self = Self::down(self.me, std::mem::take(&mut self.disk));
                return outcome;
            }
            Input::Restart { life, forgets } => {
                for piece in self.disk.iter_mut().filter(|_| forgets) {
                    (piece.promised, piece.accepted) = (None, None);
                }
                self.begin(rules, belief(rules, self.me, life));
            }
            Input::Wait => {
                assert!(self.waiting.is_empty(), "every call has ended long before");
                self.now += STEP;
            }
            _ => {}
        }
        let now = Time(self.now);
        let Some(control) = self.control.as_mut() else { return outcome };
        match input {
            Input::Serve { from, requests } => {
                let requests = said.requests.get(requests).clone();
                outcome.response = Some(said.responses.of(serve(control, now, from, requests)));
            }
            Input::Reply { to, requests, response } => {
                let is_it = |waiting: &Waiting| waiting.to == to && waiting.requests == requests;
                let place = self.waiting.iter().position(is_it).unwrap();
                let call = self.waiting.remove(place).call;
                let response = response.map(|response| said.responses.get(response).clone());
                control.on_reply(now, call, response.ok_or(Failure::TimedOut));
            }
            Input::Listed { job, from } => {
                let running = &mut self.jobs[job];
                running.listed.push(from);
                running.listed.sort_unstable();
            }
            Input::Ended { job, well } => {
                let id = self.jobs.remove(job).id;
                control.on_job(now, id, if well { Ok(BEGUN) } else { Err("not now".into()) });
            }
            Input::Newer { set } => control.on_newer(now, whole(), said.sets.get(set).clone()),
            Input::Drop { number, learner } => {
                outcome.dropped = control.drop_learner(now, whole(), number, &member(learner));
            }
            Input::Lagging { number, member: other } => control.on_lagging(now, whole(), number, &member(other)),
            Input::Found { owner } => {
                if let Some(target) = self.seeks.take() {
                    control.on_located(now, target, Some(peer(owner)));
                }
            }
            Input::Believe => {
                let view = view(self.me, rules, belief(rules, self.me, 0));
                control.on_view(now, &view, WALL_MS);
            }
            Input::Wait | Input::Crash | Input::Restart { .. } => {}
        }
        // Whatever has happened, it looks at once what there is to do.
        control.tick(now, WALL_MS);
        self.effects(&mut outcome, said);
        // A primary that was a set's only member has nobody to ask.
        while let Some(place) = self.jobs.iter().position(|running| running.listed.len() >= needed(&running.job)) {
            let id = self.jobs.remove(place).id;
            if let Some(control) = self.control.as_mut() {
                control.on_job(now, id, Ok(BEGUN));
                control.tick(now, WALL_MS);
            }
            self.effects(&mut outcome, said);
        }
        outcome
    }

    /// A new life, from the disk.
    fn begin(&mut self, rules: &Rules, belief: &Belief) {
        let config = Config {
            replicas: rules.replicas,
            lost_majority_after: None,
            stopped_for: Duration::from_secs(600),
            refresh_period: Duration::from_secs(2),
            repair_period: NEVER,
        };
        let now = Time(self.now);
        let mut control = Control::new(member(self.me), config, self.disk.clone(), 1);
        // It has met the others' stores, so that nobody has to be asked for them.
        for other in (0..rules.processes).filter(|other| *other != self.me) {
            control.serve(now, &member(other), Vec::new());
        }
        control.on_view(now, &view(self.me, rules, belief), WALL_MS);
        self.control = Some(control);
    }

    fn effects(&mut self, outcome: &mut Outcome, said: &mut Said) {
        while let Some(effect) = self.control.as_mut().and_then(Control::poll_effect) {
            match effect {
                Effect::Call { call, to, requests, .. } => {
                    let (to, requests) = (process_of(&to), said.requests.of(requests));
                    outcome.calls.push((to, requests));
                    self.waiting.push(Waiting { call, to, requests });
                }
                Effect::Persist(pieces) => self.disk = pieces,
                // Handlers see what `holding` says: no step of theirs lies between two effects.
                Effect::Publish(_) => {}
                Effect::Start(id, job) => {
                    let listed = match &job {
                        Job::Takeover { before, .. } if before.includes(&member(self.me)) => vec![self.me],
                        _ => Vec::new(),
                    };
                    self.jobs.push(Running { id, job, listed });
                }
                Effect::Cancel(id) => self.jobs.retain(|running| running.id != id),
                Effect::Locate(target) => {
                    self.seeks.get_or_insert(target);
                }
                Effect::Event(_) => {}
            }
        }
    }
}

/// Asks after the place of one process only.
pub(crate) fn is_probe(request: &Request) -> bool {
    matches!(request, Request::Sets { range, .. } if *range != whole())
}

/// A probe among other requests gets an answer that cuts no range.
fn serve(control: &mut Control, now: Time, from: usize, requests: Vec<Request>) -> Response {
    let probes: Vec<bool> = requests.iter().map(is_probe).collect();
    let requests = requests.into_iter().filter(|request| !is_probe(request)).collect();
    let mut response = control.serve(now, &member(from), requests);
    for (place, _) in probes.into_iter().enumerate().filter(|(_, is_probe)| *is_probe) {
        response.answers.insert(place, Answer::Pieces(Vec::new()));
    }
    response
}

/// How many have to be listed before a job has ended well.
pub(crate) fn needed(job: &Job) -> usize {
    match job {
        Job::Sync { set, .. } => set.majority(),
        Job::Takeover { set, before, .. } => set.needs_of(before),
        Job::Spread { .. } => 1,
    }
}

fn belief(rules: &Rules, process: usize, life: usize) -> &Belief {
    let lives = &rules.beliefs[process];
    &lives[life.min(lives.len() - 1)]
}

fn view(me: usize, rules: &Rules, belief: &Belief) -> View {
    let others = (0..rules.processes).filter(|other| *other != me);
    let known = others.map(|other| {
        let alive = !belief.dead.contains(&other);
        Known { peer: peer(other), alive, stopped: None, left: false, rtt: None }
    });
    let shares = belief.wants.iter().map(|wanted| {
        let holders = wanted.iter().map(|process| peer(*process)).collect();
        Share { range: whole(), holders }
    });
    View { me: peer(me), state: State::Ready, ring: None, shares: shares.collect(), known: known.collect() }
}
