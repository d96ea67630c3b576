//! The state of one Kelips node, and how the contract's inputs reach the operations on it.

use std::collections::BTreeMap;

use overlay::{Announcement, Ctx, Departure, Distance, Failure, Located, Overlay, Peer, Refusal, Route, Share, Time};
use ring::{Id, Places, Space};

use crate::announce::Outbox;
use crate::filetuples::Filetuples;
use crate::join::{Attempt, Confirmation};
use crate::pull::Pulling;
use crate::vacancy::Vacancy;
use crate::view::{End, Over, Source, View};
use crate::{Config, Entry, Holders, Request, Response, Slot, Table};

/// One Kelips node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kelips {
    pub(crate) me: Peer,
    pub(crate) config: Config,
    pub(crate) places: Places,
    /// Its affinity group: identifier mod k.
    pub(crate) group: u32,
    pub(crate) stage: Stage,
    /// Gossip rounds so far: what soft state is timed by, so that a pause ages nothing.
    pub(crate) round: u64,
    pub(crate) heartbeat: u64,
    pub(crate) load: u32,
    /// The other members of the group.
    pub(crate) members: View,
    /// Contacts by foreign group; never an empty one.
    pub(crate) contacts: BTreeMap<u32, View>,
    /// Heard of in foreign groups, beside the contacts.
    pub(crate) spares: BTreeMap<u32, Vec<Peer>>,
    /// Foreign groups without a contact.
    pub(crate) vacancies: BTreeMap<u32, Vacancy>,
    pub(crate) gone: BTreeMap<Id, Over>,
    /// Lives that others were told at once to be over, or said to be, and in which round.
    pub(crate) rumours: Vec<(Id, u64, u64)>,
    /// Members of the group that were dropped a moment ago: what they were the arbiters of waits.
    pub(crate) succession: Vec<(Id, Time)>,
    /// Asked for a sign of life.
    pub(crate) pinging: BTreeMap<Id, Peer>,
    /// Taken in lately, with the round.
    pub(crate) newcomers: Vec<(Entry, u64)>,
    /// Members that failed since somebody last answered; see [`Kelips::on_nobody_left`].
    pub(crate) failed_in_a_row: Vec<Id>,
    /// Somebody else was in this ring since it was last found to be empty.
    pub(crate) company: bool,
    /// Who holds what, with how often that was told and the round in which its heartbeat moved.
    pub(crate) holders: BTreeMap<Slot, Held>,
    /// Whose holders nobody vouched for any more: number and heartbeat then, and the round. Others may still tell of them.
    pub(crate) forgotten: BTreeMap<Slot, (u64, u64, u64)>,
    pub(crate) filetuples: Filetuples,
    pub(crate) pulling: Pulling,
    pub(crate) outbox: Outbox,
    /// What [`Overlay::shares`] says.
    pub(crate) shares: Vec<Share>,
    /// Round in which somebody last came to the group or went.
    pub(crate) changed: u64,
    /// Members, holders or loads changed since the shares were made.
    pub(crate) dirty: bool,
}

/// The holders of a slot as this node knows them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Held {
    pub(crate) told: Holders,
    pub(crate) moved: u64,
    pub(crate) sent: u32,
}

/// How far in a node is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Stage {
    /// In no ring.
    Outside,
    /// Looking for its group.
    Joining(Box<Attempt>),
    /// Has a view, and waits for those in it to take it in (again).
    Confirming(Confirmation),
    /// In.
    Ready,
}

/// What a Kelips node is woken for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// The next step of a join.
    Join,
    /// The next gossip round.
    Gossip,
    /// What a dead member was the arbiter of may be taken over.
    Succeed,
    /// News for other groups goes out.
    Insert,
}

impl Kelips {
    /// Whether the node has a view of its own to answer from.
    pub(crate) fn is_member(&self) -> bool {
        matches!(self.stage, Stage::Confirming(_) | Stage::Ready)
    }

    /// This node can't go on in the ring; the shared starting rules find another way in.
    pub(crate) fn give_up(&mut self, why: &str, ctx: &mut Ctx<'_, Self>) {
        self.reset(self.me.clone());
        ctx.disarm(Timer::Join);
        ctx.disarm(Timer::Gossip);
        ctx.disarm(Timer::Succeed);
        ctx.disarm(Timer::Insert);
        ctx.lost(why);
    }

    /// `peer` spoke: it lives.
    fn heard_from(&mut self, peer: &Peer, request: &Request, ctx: &mut Ctx<'_, Self>) {
        self.failed_in_a_row.clear();
        let presence = match request {
            Request::Gossip(gossip) => Some(gossip.presence),
            Request::Ping(presence) | Request::Admit(presence) => Some(*presence),
            Request::FindMember { presence, .. } => *presence,
            _ => None,
        };
        if let (Some(presence), true) = (presence, self.is_member()) {
            self.take_in(&Entry { peer: peer.clone(), presence }, Source::Itself, ctx);
        }
    }

    fn answer(&mut self, from: &Peer, request: Request, ctx: &mut Ctx<'_, Self>) -> Result<Response, Refusal> {
        if !self.is_member() {
            return Err(Refusal::NotReady);
        }
        match request {
            Request::Gossip(gossip) => Ok(Response::Gossip(self.on_gossip(from, gossip, ctx))),
            Request::Ping(_) => Ok(Response::Alive(self.presence())),
            Request::Admit(presence) => Ok(self.admit(from, presence)),
            // The rest only from a ready member: before that it may know too little.
            _ if self.stage != Stage::Ready => Err(Refusal::NotReady),
            Request::Lookup { place, avoid } => {
                self.check_avoided(&avoid, ctx);
                Ok(Response::Route(self.route(place, &avoid)))
            }
            Request::FindMember { id, avoid, .. } => {
                self.check_avoided(&avoid, ctx);
                Ok(Response::Route(self.route_to_member_for(from, id, &avoid)))
            }
            Request::Join => self.welcome(from),
            Request::Insert(insertion) => self.on_insertion(insertion),
            Request::Pull { slot, after } => self.serve_pull(slot, after),
        }
    }

    fn on_answer(&mut self, to: &Peer, request: Request, response: Response, ctx: &mut Ctx<'_, Self>) {
        self.failed_in_a_row.clear();
        self.measure(to, ctx);
        match (request, response) {
            (Request::Gossip(_), Response::Gossip(gossip)) => self.on_gossip_answer(to, &gossip, ctx),
            (Request::Ping(_), Response::Alive(presence)) => {
                self.pinging.remove(&to.id);
                if self.is_member() {
                    self.take_in(&Entry { peer: to.clone(), presence }, Source::Itself, ctx);
                }
            }
            (Request::Join, Response::Welcome(welcome)) => self.on_welcome(to, welcome, ctx),
            (Request::Admit(_), Response::Admitted { presence, newcomers }) => {
                self.on_admitted(to, presence, &newcomers, ctx);
            }
            (Request::Insert(insertion), Response::Inserted) => self.on_inserted(to, &insertion, ctx),
            (Request::Pull { slot, after }, Response::Filetuples { filetuples, more }) => {
                self.on_page(to, (slot, after), &filetuples, more, ctx);
            }
            // An answer to another question: it lives, but that is all.
            (request, _) => self.on_no_answer(to, &request, ctx),
        }
    }

    /// The call brought nothing. Whether the peer is dead has been dealt with.
    fn on_no_answer(&mut self, to: &Peer, request: &Request, ctx: &mut Ctx<'_, Self>) {
        match request {
            Request::Ping(_) => drop(self.pinging.remove(&to.id)),
            Request::Join => self.on_no_welcome(to, ctx),
            Request::Admit(_) => self.on_not_admitted(to, ctx),
            Request::Insert(_) => self.on_not_inserted(to),
            Request::Pull { .. } => self.on_no_page(to, ctx),
            Request::Gossip(_) | Request::Lookup { .. } | Request::FindMember { .. } => {}
        }
    }
}

impl Overlay for Kelips {
    type Request = Request;
    type Response = Response;
    type Timer = Timer;
    type Config = Config;
    type Table = Table;

    const NAME: &'static str = "kelips";
    const POINTERS: bool = true;

    fn places(config: &Config, space: Space) -> Places {
        Places::grouped(space, config.groups).unwrap_or_else(|_| Places::plain(space))
    }

    fn new(me: Peer, config: Config) -> Self {
        let places = Self::places(&config, me.id.space());
        Self {
            group: places.group_of(me.id),
            me,
            config,
            places,
            stage: Stage::Outside,
            round: 0,
            heartbeat: 0,
            load: 0,
            members: View::new(),
            contacts: BTreeMap::new(),
            spares: BTreeMap::new(),
            vacancies: BTreeMap::new(),
            gone: BTreeMap::new(),
            rumours: Vec::new(),
            succession: Vec::new(),
            pinging: BTreeMap::new(),
            newcomers: Vec::new(),
            failed_in_a_row: Vec::new(),
            company: false,
            holders: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            filetuples: Filetuples::default(),
            pulling: Pulling::default(),
            outbox: Outbox::default(),
            shares: Vec::new(),
            changed: 0,
            dirty: false,
        }
    }

    fn create(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.reset(self.me.clone());
        self.come_in(ctx);
        self.refresh_shares();
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
        self.refresh_shares();
    }

    fn on_departure(&mut self, peer: &Peer, _departure: Departure, ctx: &mut Ctx<'_, Self>) {
        self.drop_peer(peer, End::Departed, ctx);
        self.on_dead_while_confirming(peer, ctx);
        self.refresh_shares();
    }

    fn neighbours(&self) -> Vec<Peer> {
        self.some_neighbours()
    }

    fn route(&self, target: Id, avoid: &[Id]) -> Route {
        self.route_to_place(target, avoid)
    }

    fn distance(&self, from: Id, target: Id) -> Distance {
        let group = self.places.group_at(target);
        self.group_distance(from, self.serving(group).unwrap_or(group))
    }

    fn lookup_request(&self, target: Id, avoid: Vec<Id>) -> Request {
        Request::Lookup { place: target, avoid }
    }

    fn route_to_member(&self, id: Id, avoid: &[Id]) -> Route {
        self.route_to_member_for(&self.me, id, avoid)
    }

    fn distance_to_member(&self, from: Id, id: Id) -> Distance {
        self.group_distance(from, self.places.group_of(id))
    }

    fn member_request(&self, id: Id, avoid: Vec<Id>) -> Request {
        let presence = (self.stage == Stage::Ready).then(|| self.presence());
        Request::FindMember { id, avoid, presence }
    }

    fn announce(&mut self, news: Announcement, ctx: &mut Ctx<'_, Self>) {
        if self.is_member() {
            self.on_announcement(news);
            self.arm_outbox(ctx);
            self.refresh_shares();
        }
    }

    fn lookup_answer(&self, response: &Response) -> Option<Route> {
        match response {
            Response::Route(route) => Some(route.clone()),
            _ => None,
        }
    }

    fn serve(&mut self, from: &Peer, request: Request, ctx: &mut Ctx<'_, Self>) -> Result<Response, Refusal> {
        self.heard_from(from, &request, ctx);
        let answer = self.answer(from, request, ctx);
        self.refresh_shares();
        answer
    }

    fn on_reply(&mut self, to: &Peer, request: Request, result: Result<Response, Failure>, ctx: &mut Ctx<'_, Self>) {
        match result {
            Ok(response) => self.on_answer(to, request, response, ctx),
            Err(
                failure @ (Failure::TimedOut
                | Failure::Unreachable
                | Failure::Refused(Refusal::Gone | Refusal::OtherRing(_))),
            ) => {
                let silent = matches!(failure, Failure::TimedOut | Failure::Unreachable);
                self.drop_peer(to, if silent { End::Silent } else { End::Replaced }, ctx);
                self.on_no_answer(to, &request, ctx);
                self.on_dead_while_confirming(to, ctx);
            }
            // Alive, and with no time for this now, or not yet in.
            Err(Failure::Refused(_)) => self.on_no_answer(to, &request, ctx),
        }
        self.refresh_shares();
    }

    fn on_timer(&mut self, timer: Timer, ctx: &mut Ctx<'_, Self>) {
        match timer {
            Timer::Join => self.continue_join(ctx),
            Timer::Succeed => self.succeed(ctx),
            Timer::Gossip => self.gossip_round(ctx),
            Timer::Insert => self.send_news(ctx),
        }
        self.refresh_shares();
    }

    fn on_located(&mut self, target: Id, found: Result<Located, Failure>, ctx: &mut Ctx<'_, Self>) {
        if target == self.me.id {
            self.on_place_located(found, ctx);
        }
    }

    fn shares(&self) -> Vec<Share> {
        self.shares.clone()
    }

    fn table(&self) -> Table {
        self.shown_table()
    }
}
