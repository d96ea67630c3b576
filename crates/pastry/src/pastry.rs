//! The state of one Pastry node, and how the contract's inputs reach the operations on it.

use overlay::{Ctx, Departure, Distance, Failure, Located, Overlay, Peer, Refusal, Route, Share};
use ring::Id;

use crate::confirmation::Confirmation;
use crate::failures::Failures;
use crate::join::{Attempt, Lease};
use crate::leaf_set::LeafSet;
use crate::leaves::{Exchanges, is_end};
use crate::neighbourhood::Neighbourhood;
use crate::routing_table::RoutingTable;
use crate::rows::Upkeep;
use crate::{Config, Request, Response, Table};

/// One Pastry node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pastry {
    pub(crate) me: Peer,
    pub(crate) config: Config,
    pub(crate) stage: Stage,
    pub(crate) leaf_set: LeafSet,
    pub(crate) table: RoutingTable,
    pub(crate) neighbourhood: Neighbourhood,
    /// Leaf sets under way, and whose turn it is.
    pub(crate) exchanges: Exchanges,
    /// The upkeep of the routing table.
    pub(crate) upkeep: Upkeep,
    pub(crate) failures: Failures,
    /// Members that failed since somebody last answered; see [`Pastry::on_nobody_left`].
    pub(crate) failed_in_a_row: Vec<Id>,
    pub(crate) lease: Option<Lease>,
}

/// How far in a node is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Stage {
    /// In no ring.
    Outside,
    /// Looking for the node that is closest to it.
    Joining(Box<Attempt>),
    /// Has a leaf set, but not every leaf has confirmed it (yet, or again).
    Unconfirmed(Confirmation),
    /// Active: every leaf has this node in its own leaf set, or knows closer ones.
    Ready,
}

/// What a Pastry node is woken for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// The next step of a join.
    Join,
    /// The next round of heartbeats.
    Heartbeat,
    /// The next entry of the routing table to ask for its row.
    Maintain,
    /// The next empty place of the routing table to look for somebody for.
    Fill,
}

impl Timer {
    pub(crate) const ALL: [Timer; 4] = [Timer::Join, Timer::Heartbeat, Timer::Maintain, Timer::Fill];
}

impl Pastry {
    /// Whether the node has a leaf set, confirmed or not.
    pub(crate) fn is_member(&self) -> bool {
        matches!(self.stage, Stage::Unconfirmed(_) | Stage::Ready)
    }

    /// This node can't go on in the ring; the shared starting rules find another way in.
    pub(crate) fn give_up(&mut self, why: &str, ctx: &mut Ctx<'_, Self>) {
        self.reset(self.me.clone());
        Timer::ALL.into_iter().for_each(|timer| ctx.disarm(timer));
        ctx.lost(why);
    }

    fn serve_route(&mut self, target: Id, avoid: &[Id], ctx: &mut Ctx<'_, Self>) -> Result<Response, Refusal> {
        let claims = self.owns(target);
        if !self.is_member() || (claims && !self.is_ready()) {
            return Err(Refusal::NotReady);
        }
        let route = self.route(target, avoid);
        self.check_avoided(avoid, ctx);
        Ok(Response::Route(route))
    }
}

impl Overlay for Pastry {
    type Request = Request;
    type Response = Response;
    type Timer = Timer;
    type Config = Config;
    type Table = Table;

    const NAME: &'static str = "pastry";

    fn new(me: Peer, config: Config) -> Self {
        Self {
            leaf_set: LeafSet::new(me.id, config.half()),
            table: RoutingTable::new(me.id, config.bits()),
            neighbourhood: Neighbourhood::new(config.neighbourhood),
            upkeep: Upkeep::new(config.fill_period),
            me,
            config,
            stage: Stage::Outside,
            exchanges: Exchanges::default(),
            failures: Failures::default(),
            failed_in_a_row: Vec::new(),
            lease: None,
        }
    }

    fn create(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.reset(self.me.clone());
        self.stage = Stage::Ready;
        self.arm_all(ctx);
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
        self.failures.forgive();
        self.failed_in_a_row.clear();
        self.lease = None;
        if self.is_member() && !self.leaf_set.is_empty() {
            self.await_confirmation(ctx);
        }
    }

    fn on_departure(&mut self, peer: &Peer, _departure: Departure, ctx: &mut Ctx<'_, Self>) {
        self.failures.note_departure(peer);
        self.on_gone(peer, ctx);
    }

    fn neighbours(&self) -> Vec<Peer> {
        self.leaf_set.peers()
    }

    fn route(&self, target: Id, avoid: &[Id]) -> Route {
        self.route_from_tables(target, avoid)
    }

    /// Digits that are not shared count first, then how far it is round the circle: so a lookup goes on along the
    /// prefix as long as that leads anywhere. Near the border of two digits the owner may share fewer than
    /// others do, but there a leaf set answers, and what a leaf set says goes before any distance.
    fn distance(&self, from: Id, target: Id) -> Distance {
        let digits = target.space().bits().div_ceil(self.config.bits());
        Distance { class: digits - self.config.shared(from, target).min(digits), span: from.gap(target) }
    }

    fn lookup_request(&self, target: Id, avoid: Vec<Id>) -> Request {
        Request::Route { target, avoid }
    }

    fn lookup_answer(&self, response: &Response) -> Option<Route> {
        match response {
            Response::Route(route) => Some(route.clone()),
            _ => None,
        }
    }

    fn serve(&mut self, from: &Peer, request: Request, ctx: &mut Ctx<'_, Self>) -> Result<Response, Refusal> {
        match request {
            Request::Route { target, avoid } => self.serve_route(target, &avoid, ctx),
            _ if from.id == self.me.id => Err(Refusal::NotMine),
            Request::Join => self.admit(from, ctx),
            _ if !self.is_member() => Err(Refusal::NotReady),
            Request::LeafSet(offered) => Ok(Response::LeafSet(self.on_leaf_set_offered(from, &offered, ctx))),
            Request::State { row } => Ok(self.state(row)),
            Request::Announce { row } => {
                self.on_announced(from, &row, ctx);
                Ok(Response::Noted)
            }
            Request::Ping => Ok(Response::Noted),
        }
    }

    fn on_reply(&mut self, to: &Peer, request: Request, result: Result<Response, Failure>, ctx: &mut Ctx<'_, Self>) {
        if self.stage == Stage::Outside {
            return;
        }
        match request {
            Request::Join => self.on_join_reply(to, result, ctx),
            Request::LeafSet(_) => self.on_exchanged(to, result, ctx),
            Request::State { .. } | Request::Ping => self.on_probed(to, result, ctx),
            Request::Announce { .. } => match result {
                Ok(_) => self.on_alive(to, ctx),
                Err(failure) if is_end(&failure) => self.on_failed(to, ctx),
                Err(_) => {}
            },
            Request::Route { .. } => {}
        }
    }

    fn on_timer(&mut self, timer: Timer, ctx: &mut Ctx<'_, Self>) {
        match timer {
            Timer::Join => self.continue_join(ctx),
            Timer::Heartbeat => self.on_heartbeat_timer(ctx),
            Timer::Maintain => self.on_maintain_timer(ctx),
            Timer::Fill => self.on_fill_timer(ctx),
        }
    }

    fn on_located(&mut self, target: Id, found: Result<Located, Failure>, ctx: &mut Ctx<'_, Self>) {
        if target == self.me.id {
            self.on_place_located(found, ctx);
        } else {
            self.on_slot_located(target, found, ctx);
        }
    }

    fn shares(&self) -> Vec<Share> {
        if !self.is_ready() {
            return Vec::new();
        }
        self.leaf_set.shares(&self.me, self.config.replicas, self.config.holders_max())
    }

    fn table(&self) -> Table {
        self.shown_table()
    }
}
