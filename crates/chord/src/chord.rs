//! The state of one Chord node, and how the contract's inputs reach the operations on it.

use overlay::{Ctx, Departure, Distance, Failure, Located, Overlay, Peer, Refusal, Route, Share};
use ring::Id;

use crate::confirmation::Confirmation;
use crate::finger_table::FingerTable;
use crate::fix_fingers::Fixing;
use crate::join::{Attempt, Lease};
use crate::maintenance::Operation;
use crate::silence::{Believers, Silence};
use crate::successor_list::SuccessorList;
use crate::{Config, Entry, Neighbours, Request, Response, Table};

/// One Chord node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Chord {
    pub(crate) me: Peer,
    pub(crate) config: Config,
    pub(crate) stage: Stage,
    /// None only outside a ring and in a ring of one.
    pub(crate) predecessor: Option<Peer>,
    pub(crate) successors: SuccessorList,
    pub(crate) fingers: FingerTable,
    pub(crate) fixing: Fixing,
    /// The one maintenance operation that waits for an answer.
    pub(crate) operation: Option<Box<Operation>>,
    /// The neighbour that is asked for a sign of life outside of any operation.
    pub(crate) probing: Option<Peer>,
    /// The predecessor was heard since the last stabilize round: as long as it lives it notifies each round.
    pub(crate) predecessor_heard: bool,
    /// The closest of the notifications that wait for the operation to end.
    pub(crate) notified: Option<Peer>,
    /// Stabilize once more as soon as the operation has ended.
    pub(crate) again: bool,
    /// Members that failed since somebody last answered; see [`Chord::on_nobody_left`].
    pub(crate) failed_in_a_row: Vec<Id>,
    pub(crate) lease: Option<Lease>,
    pub(crate) silence: Silence,
    pub(crate) believers: Believers,
}

/// How far in a node is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Stage {
    /// In no ring.
    Outside,
    /// Looking for the member to join at.
    Joining(Box<Attempt>),
    /// Has a place, but the neighbours have not both confirmed it (yet, or again).
    Unconfirmed(Confirmation),
    /// Both neighbours have confirmed it.
    Ready,
}

/// What a Chord node is woken for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// The next step of a join.
    Join,
    /// The next stabilize round.
    Stabilize,
    /// The next finger.
    FixFingers,
}

impl Chord {
    /// The whole successor list as it stands, r entries; none while the node has no place in a ring.
    pub fn successor_list(&self) -> Option<Vec<Entry>> {
        self.is_member().then(|| self.successors.entries().to_vec())
    }

    /// Whether the node has a place in a ring, confirmed or not.
    pub(crate) fn is_member(&self) -> bool {
        matches!(self.stage, Stage::Unconfirmed(_) | Stage::Ready)
    }

    /// This node is the whole ring.
    pub(crate) fn is_alone(&self) -> bool {
        self.predecessor.is_none() && self.successors.head().is_some_and(|head| head.id == self.me.id)
    }

    pub(crate) fn neighbours_answer(&self) -> Neighbours {
        Neighbours { predecessor: self.predecessor.clone(), successors: self.successors.entries().to_vec() }
    }

    fn serve_route(&self, target: Id, avoid: &[Id]) -> Result<Response, Refusal> {
        let claims = self.owns(target);
        if !self.is_member() || (claims && !self.is_ready()) {
            return Err(Refusal::NotReady);
        }
        Ok(Response::Route(self.route(target, avoid)))
    }
}

impl Overlay for Chord {
    type Request = Request;
    type Response = Response;
    type Timer = Timer;
    type Config = Config;
    type Table = Table;

    const NAME: &'static str = "chord";

    fn new(me: Peer, config: Config) -> Self {
        let successors = SuccessorList::alone(&me, config.successors);
        Self {
            me,
            config,
            stage: Stage::Outside,
            predecessor: None,
            successors,
            fingers: FingerTable::default(),
            fixing: Fixing::default(),
            operation: None,
            probing: None,
            predecessor_heard: true,
            notified: None,
            again: false,
            failed_in_a_row: Vec::new(),
            lease: None,
            silence: Silence::default(),
            believers: Believers::default(),
        }
    }

    fn create(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.reset(self.me.clone());
        self.stage = Stage::Ready;
        self.arm_stabilize(ctx);
        self.start_fixing(ctx);
    }

    fn join(&mut self, via: Peer, ctx: &mut Ctx<'_, Self>) {
        self.reset(self.me.clone());
        self.begin_join(via, ctx);
    }

    fn reset(&mut self, me: Peer) {
        *self = Self::new(me, self.config.clone());
    }

    fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    fn resumed(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.reconfirm(ctx);
    }

    fn on_departure(&mut self, peer: &Peer, _departure: Departure, ctx: &mut Ctx<'_, Self>) {
        self.check_departed(peer, ctx);
    }

    fn neighbours(&self) -> Vec<Peer> {
        self.distinct_neighbours()
    }

    fn route(&self, target: Id, avoid: &[Id]) -> Route {
        self.route_from_tables(target, avoid)
    }

    fn distance(&self, from: Id, target: Id) -> Distance {
        Distance::plain(from.distance_to(target))
    }

    fn lookup_request(&self, target: Id, avoid: Vec<Id>) -> Request {
        Request::FindSuccessor { target, avoid }
    }

    fn lookup_answer(&self, response: &Response) -> Option<Route> {
        match response {
            Response::Route(route) => Some(route.clone()),
            _ => None,
        }
    }

    fn serve(&mut self, from: &Peer, request: Request, ctx: &mut Ctx<'_, Self>) -> Result<Response, Refusal> {
        self.silence.heard(from);
        self.predecessor_heard |= self.predecessor.as_ref() == Some(from);
        match request {
            Request::FindSuccessor { target, avoid } => {
                let answer = self.serve_route(target, &avoid)?;
                self.check_avoided(&avoid, ctx);
                Ok(answer)
            }
            Request::Join => self.admit(from, ctx),
            _ if !self.is_member() => Err(Refusal::NotReady),
            Request::GetNeighbours => Ok(Response::Neighbours(self.neighbours_answer())),
            Request::Notify => {
                self.rectify(from.clone(), ctx);
                Ok(Response::Noted)
            }
            Request::Stabilize => {
                self.stabilize(ctx);
                Ok(Response::Noted)
            }
        }
    }

    fn on_reply(&mut self, to: &Peer, request: Request, result: Result<Response, Failure>, ctx: &mut Ctx<'_, Self>) {
        match request {
            Request::GetNeighbours => {
                match result {
                    Ok(Response::Neighbours(neighbours)) => self.on_neighbours(to, Some(neighbours), ctx),
                    // Silent, or alive and not a member of this ring (any more).
                    Err(
                        Failure::TimedOut
                        | Failure::Unreachable
                        | Failure::Refused(Refusal::Gone | Refusal::OtherRing(_) | Refusal::NotReady),
                    ) => self.on_neighbours(to, None, ctx),
                    // Alive, and with no time for this now: that tells nothing, least of all that it is dead.
                    _ => self.on_no_news(to, ctx),
                }
            }
            Request::Join => self.on_join_reply(to, result, ctx),
            Request::Notify if result.is_ok() => self.on_notified(ctx),
            _ => {}
        }
    }

    fn on_timer(&mut self, timer: Timer, ctx: &mut Ctx<'_, Self>) {
        match timer {
            Timer::Join => self.continue_join(ctx),
            Timer::Stabilize => self.on_stabilize_timer(ctx),
            Timer::FixFingers => self.fix_next_finger(ctx),
        }
    }

    fn on_located(&mut self, target: Id, found: Result<Located, Failure>, ctx: &mut Ctx<'_, Self>) {
        if target == self.me.id {
            self.on_place_located(found, ctx);
        } else {
            self.on_finger_located(target, found, ctx);
        }
    }

    fn shares(&self) -> Vec<Share> {
        self.owned_shares()
    }

    fn table(&self) -> Table {
        self.shown_table()
    }
}
