//! Runs the two pure machines, the overlay's node and the control of sets, over real time and gRPC.
//!
//! One task owns both. It is never in a record's way: handlers of reads and writes act by the snapshots that it
//! publishes ([`crate::shared::Shared`]) and go to the store and to other nodes by themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use overlay::inspect::Inspect;
use overlay::{
    Addr, Effect, Envelope, Event, Failure, LocateError, Located, Node, Peer, QueryId, Refusal, Request, Response,
    RingId, State, Time, View,
};
use replica::{Control, JobId, Piece};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use wire::{WireProtocol, v1};

use crate::exit::Fatal;
use crate::inbox::{InboxReader, Input};
use crate::pointers::Pointers;
use crate::protocols::Configured;
use crate::shared::Shared;
use crate::time::wall_ms;
use crate::{identity, set_news, transfer, trouble};

/// A process that runs this much later than it wanted to was paused (SIGSTOP, a suspended machine).
const PAUSE: Duration = Duration::from_millis(1_500);
/// The machines are asked what to do at least so often.
const IDLE_WAKE: Duration = Duration::from_secs(5);
/// Peers are written to disk this often, if they changed.
const KEEP_PEERS_EVERY: Duration = Duration::from_secs(1);

/// An input of the protocol's own types.
pub(crate) enum ProtocolInput<P: WireProtocol> {
    Serve {
        envelope: Envelope,
        request: Request<P>,
        reply: oneshot::Sender<Result<Response<P>, Refusal>>,
    },
    CallEnd {
        call: overlay::CallId,
        result: Result<Response<P>, Failure>,
        rtt: Option<Duration>,
    },
    /// Show the routing state.
    Look(oneshot::Sender<Looked>),
}

/// The protocol's routing state, to be shown.
pub(crate) struct Looked {
    pub(crate) table: v1::table_response::Table,
    pub(crate) state_bytes: u64,
    pub(crate) place: Option<String>,
    /// The protocol's own settings that a cluster has to agree on.
    pub(crate) settings: Vec<(&'static str, String)>,
    pub(crate) neighbours: Vec<Peer>,
}

/// The way in for the protocol's own types.
pub(crate) struct ProtocolInbox<P: WireProtocol> {
    pub(crate) requests: mpsc::Sender<ProtocolInput<P>>,
    ends: mpsc::UnboundedSender<ProtocolInput<P>>,
}

impl<P: WireProtocol> Clone for ProtocolInbox<P> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone(), ends: self.ends.clone() }
    }
}

/// Where the node stands, for whoever waits for it.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) state: State,
    /// It will never get in: what to tell the operator.
    pub(crate) refused: Option<String>,
    /// The disk failed: what to tell the operator.
    pub(crate) broken: Option<String>,
}

/// The task's state.
pub(crate) struct Driver<P: WireProtocol> {
    shared: Arc<Shared>,
    node: Node<P>,
    control: Control,
    inbox: InboxReader,
    requests: mpsc::Receiver<ProtocolInput<P>>,
    ends: mpsc::UnboundedReceiver<ProtocolInput<P>>,
    protocol_inbox: ProtocolInbox<P>,
    queries: BTreeMap<QueryId, oneshot::Sender<Result<Located, LocateError>>>,
    jobs: BTreeMap<JobId, AbortHandle>,
    /// The control's pieces as the disk has them.
    kept: Vec<Piece>,
    /// Who waits to hear of the ring behind an address.
    meets: Vec<(Addr, oneshot::Sender<Result<String, String>>)>,
    standing: watch::Sender<Standing>,
    /// The ring that the control's sets belong to.
    sets_of: Option<RingId>,
    pointers: Pointers,
    holdings_changed: bool,
    view_changed: bool,
    peers_changed: bool,
    peers_kept: Time,
}

impl<P: Configured> Driver<P> {
    pub(crate) fn new(
        shared: Arc<Shared>,
        node: Node<P>,
        control: Control,
        inbox: InboxReader,
        sets_of: Option<RingId>,
    ) -> (Self, ProtocolInbox<P>, watch::Receiver<Standing>) {
        let (requests_in, requests) = mpsc::channel(crate::inbox::REQUESTS_WAITING_MAX);
        let (ends_in, ends) = mpsc::unbounded_channel();
        let protocol_inbox = ProtocolInbox { requests: requests_in, ends: ends_in };
        let (standing, standing_watch) =
            watch::channel(Standing { state: State::Searching, refused: None, broken: None });
        let driver = Self {
            peers_kept: shared.time.now(),
            kept: control.persisted().to_vec(),
            shared,
            node,
            control,
            inbox,
            requests,
            ends,
            protocol_inbox: protocol_inbox.clone(),
            queries: BTreeMap::new(),
            jobs: BTreeMap::new(),
            meets: Vec::new(),
            standing,
            sets_of,
            pointers: Pointers::default(),
            holdings_changed: false,
            view_changed: true,
            peers_changed: false,
        };
        (driver, protocol_inbox, standing_watch)
    }

    /// Runs until the process ends.
    pub(crate) async fn run(mut self, start: overlay::Start) {
        self.node.start(self.shared.time.now(), start);
        self.settle().await;
        loop {
            let before = self.shared.time.now();
            let latest = before.plus(IDLE_WAKE);
            let wake = [self.node.next_wake(), self.control.next_wake()].into_iter().flatten().fold(latest, Time::min);
            tokio::select! {
                biased;
                Some(input) = self.inbox.ends.recv() => self.input(input).await,
                Some(input) = self.ends.recv() => self.protocol_input(input),
                () = tokio::time::sleep_until(self.shared.time.instant(wake)) => {}
                // A node that says nothing counts as dead, however busy it is with its sets.
                Some(input) = self.requests.recv() => self.protocol_input(input),
                Some(input) = self.inbox.requests.recv() => self.input(input).await,
                else => return,
            }
            let now = self.shared.time.now();
            // What was due before this round began is only late by what the round took.
            let late = now.since(wake.max(before));
            if late > PAUSE {
                let late_ms = late.as_millis() as u64;
                tracing::warn!(late_ms, "this process was paused; asking its neighbours to confirm it again");
                self.control.on_pause(now);
            }
            if wake <= now {
                self.forget_abandoned_queries();
                self.node.tick(now);
                self.control.tick(now, wall_ms());
            }
            self.settle().await;
        }
    }

    fn protocol_input(&mut self, input: ProtocolInput<P>) {
        let now = self.shared.time.now();
        match input {
            ProtocolInput::Serve { envelope, request, reply } => {
                let _ = reply.send(self.node.serve(now, &envelope, request));
            }
            ProtocolInput::CallEnd { call, result, rtt } => self.node.on_reply(now, call, result, rtt),
            ProtocolInput::Look(reply) => {
                let _ = reply.send(self.look());
            }
        }
    }

    fn look(&self) -> Looked {
        let view = self.node.view();
        let rtt = |peer: &Peer| view.peer(peer.id).and_then(|known| known.rtt);
        let table = self.node.table();
        Looked {
            table: <P as WireProtocol>::table(&table, &rtt),
            state_bytes: P::state_bytes(&table),
            place: table.place(),
            settings: P::settings(&self.shared.config),
            neighbours: self.node.protocol().neighbours(),
        }
    }

    async fn input(&mut self, input: Input) {
        let now = self.shared.time.now();
        self.note_failed_disk();
        match input {
            Input::Locate { target, reply } => {
                let query = self.node.locate(now, target);
                self.queries.insert(query, reply);
            }
            // It was asked in a ring that this node has left meanwhile: that ring's sets are nothing here.
            Input::Control { ring, .. } | Input::Newer { ring, .. } if ring != self.sets_of => {}
            Input::Control { from, requests, reply, .. } => {
                let knew = self.control.is_read_only();
                let response = self.control.serve(now, &from, requests);
                // What it promises or accepts is on disk and in force before anybody hears of it. With a disk that it knows to
                // have failed it promises nothing.
                self.settle().await;
                if self.standing.borrow().broken.is_none() && (knew || !self.read_only()) {
                    let _ = reply.send(response);
                }
            }
            Input::ControlEnd { call, result } => self.control.on_reply(now, call, result),
            Input::JobEnd { job, result } => {
                self.jobs.remove(&job);
                if let Err(why) = &result {
                    tracing::debug!(
                        ?job,
                        why,
                        "a transfer of records did not end well, it is tried again where still wanted"
                    );
                }
                self.control.on_job(now, job, result);
            }
            Input::Located { target, owner } => self.control.on_located(now, target, owner),
            Input::Evidence { peer, result } => self.node.on_evidence(now, &peer, result),
            Input::Newer { range, set, .. } => self.control.on_newer(now, range, set),
            Input::DropLearner { range, number, learner, done } => {
                let dropped = self.control.drop_learner(now, range, number, &learner);
                self.settle().await;
                let _ = done.send(dropped);
            }
            Input::Lagging { range, number, member } => self.control.on_lagging(now, range, number, &member),
            Input::Announce(news) => self.node.announce(now, news),
            Input::Seeds(seeds) => self.node.set_seeds(seeds),
            Input::Meet { addr, met } => {
                self.meets.retain(|(_, met)| !met.is_closed());
                self.meets.push((addr.clone(), met));
                self.node.meet(now, addr);
            }
            Input::Moved(addr) => {
                self.node.move_to(now, addr);
                self.keep_me();
            }
            Input::Leave => {
                self.node.begin_leaving(now);
                self.control.leave(now);
            }
            Input::LeaveProgress(reply) => {
                let _ = reply.send(self.control.leave_progress());
            }
            Input::Depart(departure) => self.node.depart(now, departure),
        }
    }

    /// A caller that went away needs no answer.
    fn forget_abandoned_queries(&mut self) {
        let abandoned: Vec<QueryId> =
            self.queries.iter().filter(|(_, reply)| reply.is_closed()).map(|(query, _)| *query).collect();
        for query in abandoned {
            self.queries.remove(&query);
            self.node.cancel(query);
        }
    }

    /// Carries out, in order, everything that the machines want done, until they want nothing more.
    async fn settle(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(effect) = self.node.poll_effect() {
                quiet = false;
                self.overlay_effect(effect);
            }
            let view = std::mem::take(&mut self.view_changed).then(|| self.node.view());
            if let Some(view) = &view {
                self.keep_to_one_ring(view.ring);
                self.control.on_view(self.shared.time.now(), view, wall_ms());
            }
            while let Some(effect) = self.control.poll_effect() {
                quiet = false;
                self.control_effect(effect).await;
                // Nothing may follow a promise that is not on disk; the process is about to end.
                if self.standing.borrow().broken.is_some() {
                    return;
                }
            }
            quiet &= !self.note_failed_disk();
            let changed = std::mem::take(&mut self.holdings_changed) || view.is_some();
            if P::POINTERS && (changed || self.pointers.are_due(self.shared.time.now())) {
                quiet &= !self.announce_holders(view.as_ref());
            }
            // The holdings of a ring that was left are empty before anybody sees the other ring.
            if let Some(view) = view {
                self.shared.publish_view(view);
            }
            if quiet {
                break;
            }
        }
        self.keep_peers();
    }

    /// Tells the overlay whose sets this node is in, or has chosen, as far as that is new. Whether there was any.
    fn announce_holders(&mut self, view: Option<&View>) -> bool {
        let now = self.shared.time.now();
        let published = self.shared.view();
        let news = self.pointers.news(now, view.unwrap_or(&published), self.control.holdings());
        let any = !news.is_empty();
        news.into_iter().for_each(|news| self.node.announce(now, news));
        any
    }

    /// What is known about sets holds in the ring that it was learnt in, and in no other.
    fn keep_to_one_ring(&mut self, ring: Option<RingId>) {
        let Some(ring) = ring else { return };
        if self.sets_of.is_some_and(|old| old != ring) {
            self.control.forget(self.shared.time.now());
            self.shared.routes.clear();
        }
        self.sets_of = Some(ring);
    }

    fn overlay_effect(&mut self, effect: Effect<P>) {
        match effect {
            Effect::Call { call, addr, envelope, request, timeout } => {
                let (shared, ends) = (Arc::clone(&self.shared), self.protocol_inbox.ends.clone());
                tokio::spawn(async move {
                    let (result, rtt) = shared.peers.call::<P>(&addr, &envelope, request, timeout).await;
                    let _ = ends.send(ProtocolInput::CallEnd { call, result, rtt });
                });
            }
            Effect::Located { query, result } => {
                if let Some(reply) = self.queries.remove(&query) {
                    let _ = reply.send(result);
                }
            }
            Effect::Event(event) => self.event(event),
        }
    }

    fn event(&mut self, event: Event) {
        self.view_changed = true;
        match event {
            Event::State(state) => {
                tracing::info!(?state, "standing");
                self.standing.send_modify(|standing| standing.state = state);
            }
            Event::Ring { ring, founded } => self.entered(ring, founded),
            Event::Shares => self.shared.routes.clear(),
            Event::Down(peer) => {
                tracing::info!(id = %peer.id, addr = %peer.addr, "a peer does not answer any more");
                metrics::counter!("dhtd_peers_down_total").increment(1);
                self.peers_changed = true;
            }
            Event::Up(peer) => {
                // The view of a moment ago tells who was missed.
                if self.shared.view().peer(peer.id).is_some_and(|known| !known.alive) {
                    tracing::info!(id = %peer.id, addr = %peer.addr, "a peer answers again");
                } else {
                    tracing::debug!(id = %peer.id, addr = %peer.addr, "a peer is there");
                }
                self.peers_changed = true;
            }
            Event::Rejoining { from, to } => {
                tracing::warn!(
                    ?from,
                    ?to,
                    "met another ring, or the other side of this one: joining it, records go to their owners there"
                );
                metrics::counter!("dhtd_rings_merged_total").increment(1);
                self.keep_me();
            }
            Event::Stopping(peer) => {
                tracing::info!(id = %peer.id, addr = %peer.addr, "a peer stops and means to come back");
                self.peers_changed = true;
            }
            // It is the last thing that the process says.
            Event::Refused(why) => self.standing.send_modify(|standing| standing.refused = Some(why)),
            Event::Met(addr, met) => {
                match &met {
                    Ok(outcome) => tracing::info!(%addr, outcome, "asked to look at another ring"),
                    Err(why) => tracing::warn!(%addr, why, "asked to look at another ring"),
                }
                let waiting = std::mem::take(&mut self.meets);
                let (asked, rest) = waiting.into_iter().partition(|(asked, _)| *asked == addr);
                self.meets = rest;
                for (_, reply) in asked {
                    let _ = reply.send(met.clone());
                }
            }
            Event::Note(text) => tracing::info!("{text}"),
        }
    }

    /// In a ring, perhaps in a new incarnation.
    fn entered(&mut self, ring: RingId, founded: bool) {
        tracing::info!(started_ms = ring.started_ms, starter = %ring.starter, founded, "ring");
        self.keep_me();
        let kept = identity::keep_ring(&self.shared.store, ring);
        self.broken_by(kept);
        if founded {
            self.control.found(self.shared.time.now(), ring);
        }
    }

    /// The incarnation grows whenever the node enters a ring anew.
    fn keep_me(&mut self) {
        let me = self.node.view().me;
        self.shared.peers.set_me(me.clone());
        let kept = identity::keep_identity(&self.shared.store, &me);
        self.broken_by(kept);
    }

    async fn control_effect(&mut self, effect: replica::Effect) {
        match effect {
            // What it learns of newer sets, so as to send readers there, binds it to nothing.
            replica::Effect::Persist(_) if self.read_only() => {}
            // It may go by a promise that has not reached the disk.
            replica::Effect::Call { call, .. } if self.read_only() && !self.control.is_read_only() => {
                let result = Err(Failure::Refused(Refusal::Busy));
                self.shared.inbox.tell(Input::ControlEnd { call, result });
            }
            replica::Effect::Start(job, _) if self.read_only() => {
                let result = Err("this node is read-only".to_owned());
                self.shared.inbox.tell(Input::JobEnd { job, result });
            }
            replica::Effect::Call { call, to, requests, timeout } => {
                let (shared, ring) = (Arc::clone(&self.shared), self.sets_of);
                tokio::spawn(async move {
                    let to = shared.now_at(&to);
                    let result = shared.peers.control(&to, ring, requests, timeout).await;
                    shared
                        .inbox
                        .tell(Input::Evidence { peer: to, result: result.as_ref().map(|_| ()).map_err(Clone::clone) });
                    shared.inbox.tell(Input::ControlEnd { call, result });
                });
            }
            // What is in memory is never come back to.
            replica::Effect::Persist(_) if !self.shared.store.is_durable() => {}
            replica::Effect::Persist(pieces) => {
                let store = self.shared.store.clone();
                let kept =
                    tokio::task::spawn_blocking(move || identity::keep_pieces(&store, &pieces).map(|()| pieces)).await;
                match kept.unwrap_or_else(|error| Err(Fatal::other(error.to_string()))) {
                    Ok(pieces) => self.kept = pieces,
                    Err(fatal) => self.broken_by(Err(fatal)),
                }
            }
            replica::Effect::Publish(holdings) => {
                let mut published = self.shared.holdings.write().await;
                self.shared.doubts.on_publish(&holdings);
                *published = Arc::new(holdings);
                drop(published);
                self.holdings_changed = true;
            }
            replica::Effect::Start(id, job) => {
                let shared = Arc::clone(&self.shared);
                let task = tokio::spawn(async move {
                    let result = transfer::run(&shared, job).await;
                    shared.inbox.tell(Input::JobEnd { job: id, result });
                });
                self.jobs.insert(id, task.abort_handle());
            }
            replica::Effect::Cancel(job) => {
                if let Some(task) = self.jobs.remove(&job) {
                    task.abort();
                }
            }
            replica::Effect::Locate(target) => {
                let shared = Arc::clone(&self.shared);
                tokio::spawn(async move {
                    let owner =
                        shared.inbox.locate(target).await.ok().and_then(|found| found.owners.into_iter().next());
                    shared.inbox.tell(Input::Located { target, owner });
                });
            }
            replica::Effect::Event(event) => set_news::tell(&self.shared, &event),
        }
    }

    fn keep_peers(&mut self) {
        let now = self.shared.time.now();
        if self.peers_changed && now.since(self.peers_kept) > KEEP_PEERS_EVERY {
            self.peers_changed = false;
            self.peers_kept = now;
            let (store, known) = (self.shared.store.clone(), self.node.view().known);
            tokio::task::spawn_blocking(move || {
                if let Err(error) = identity::keep_peers(&store, &known) {
                    trouble::of_store(&error.message);
                }
            });
        }
    }

    /// The control is told once that the disk takes no more writes, when nothing that it wanted before is left to be done.
    /// Whether it was told now.
    fn note_failed_disk(&mut self) -> bool {
        let news = self.read_only() && !self.control.is_read_only();
        if news {
            self.control.on_disk_failed(self.shared.time.now(), &self.kept);
        }
        news
    }

    fn read_only(&self) -> bool {
        self.shared.is_read_only().is_some()
    }

    /// Without its disk a node's promises are worth nothing: one that has begun to serve goes on answering reads and makes
    /// none any more, one that has not ends.
    fn broken_by(&mut self, kept: Result<(), Fatal>) {
        let Err(fatal) = kept else { return };
        let serves = self.standing.borrow().state == State::Ready;
        if !serves {
            tracing::error!(error = fatal.message, "the disk failed");
            self.standing.send_modify(|standing| standing.broken = Some(fatal.message));
        } else if !self.shared.read_only.swap(true, Ordering::AcqRel) {
            trouble::of_store(&fatal.message);
        }
    }
}
