//! A few machines that hear each other at once, for this crate's own tests. The first one owns the whole circle.

use std::time::Duration;

use overlay::{Failure, Known, RingId, Share, State, Time, View};
use ring::Range;

use crate::fixtures::{id, member};
use crate::{Config, Control, Effect, Event, Job, Member, Piece, Set};

const TURN: Duration = Duration::from_millis(50);

pub(crate) struct Cluster {
    places: Vec<u64>,
    pub(crate) nodes: Vec<Control>,
    pub(crate) dead: Vec<u64>,
    pub(crate) stopped: Vec<u64>,
    /// What each disk holds of its machine's pieces.
    pub(crate) disks: Vec<Vec<Piece>>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) events: Vec<Event>,
    pub(crate) now: Time,
}

impl Cluster {
    /// Nodes at these places, after they have made sets of up to three.
    pub(crate) fn of(places: &[u64], lost_majority_after: Option<Duration>) -> Self {
        let config = Config {
            replicas: 3,
            lost_majority_after,
            stopped_for: Duration::from_secs(600),
            refresh_period: Duration::from_secs(2),
            repair_period: Duration::from_secs(60),
        };
        let nodes =
            places.iter().map(|place| Control::new(member(*place), config.clone(), Vec::new(), *place)).collect();
        let mut cluster = Self {
            places: places.to_vec(),
            nodes,
            dead: Vec::new(),
            stopped: Vec::new(),
            disks: vec![Vec::new(); places.len()],
            jobs: Vec::new(),
            events: Vec::new(),
            now: Time::default(),
        };
        cluster.nodes[0].found(cluster.now, RingId { started_ms: 1, starter: id(places[0]) });
        cluster.run(10);
        assert_eq!(cluster.set().members.len(), places.len().min(3));
        cluster.jobs.clear();
        cluster.events.clear();
        cluster
    }

    /// The set that the owner knows, which all of the circle has.
    pub(crate) fn set(&self) -> Set {
        let ranges = &self.nodes[0].holdings().ranges;
        assert_eq!(ranges.len(), 1, "{ranges:?}");
        ranges[0].set.clone()
    }

    /// Where its members are, the primary first.
    pub(crate) fn members(&self) -> Vec<u64> {
        let place = |member: &Member| *self.places.iter().find(|place| id(**place) == member.peer.id).unwrap();
        self.set().members.iter().map(place).collect()
    }

    pub(crate) fn fail_disk(&mut self, node: usize) {
        let kept = self.disks[node].clone();
        self.nodes[node].on_disk_failed(self.now, &kept);
        self.settle();
    }

    pub(crate) fn run(&mut self, seconds: u64) {
        let end = self.now.plus(Duration::from_secs(seconds));
        while self.now < end {
            self.now = self.now.plus(TURN);
            for node in 0..self.nodes.len() {
                if self.lives(node) {
                    let view = self.view(node);
                    self.nodes[node].on_view(self.now, &view, 1);
                    self.nodes[node].tick(self.now, 1);
                }
            }
            self.settle();
        }
    }

    fn lives(&self, node: usize) -> bool {
        !self.dead.contains(&self.places[node])
    }

    fn view(&self, node: usize) -> View {
        let peers: Vec<_> = self.places.iter().map(|place| member(*place).peer).collect();
        let known = |(other, peer): (usize, &overlay::Peer)| Known {
            peer: peer.clone(),
            alive: self.lives(other),
            stopped: self.stopped.contains(&self.places[other]).then_some(self.now),
            left: false,
            rtt: None,
        };
        let me = peers[node].clone();
        let all = Share { range: Range::full(me.id), holders: peers.clone() };
        View {
            known: peers.iter().enumerate().filter(|(other, _)| *other != node).map(known).collect(),
            me,
            state: State::Ready,
            ring: None,
            shares: if node == 0 { vec![all] } else { Vec::new() },
        }
    }

    /// Carries out what the machines want, until they want nothing more.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            let next = (0..self.nodes.len()).find_map(|node| Some((node, self.nodes[node].poll_effect()?)));
            let Some((node, effect)) = next else { return };
            if self.lives(node) {
                self.effect(node, effect);
            }
        }
        panic!("they never come to rest");
    }

    fn effect(&mut self, node: usize, effect: Effect) {
        let now = self.now;
        match effect {
            Effect::Call { call, to, requests, .. } => {
                let there = self.places.iter().position(|place| id(*place) == to.id).unwrap();
                let from = member(self.places[node]);
                let result = if self.lives(there) {
                    Ok(self.nodes[there].serve(now, &from, requests))
                } else {
                    Err(Failure::Unreachable)
                };
                self.nodes[node].on_reply(now, call, result);
            }
            Effect::Start(job, what) => {
                self.jobs.push(what);
                let result = if self.nodes[node].is_read_only() { Err("read-only".to_owned()) } else { Ok(1) };
                self.nodes[node].on_job(now, job, result);
            }
            Effect::Persist(pieces) if !self.nodes[node].is_read_only() => self.disks[node] = pieces,
            Effect::Locate(target) => {
                let owner = member(self.places[0]).peer;
                self.nodes[node].on_located(now, target, Some(owner));
            }
            Effect::Event(event) => self.events.push(event),
            Effect::Persist(_) | Effect::Publish(_) | Effect::Cancel(_) => {}
        }
    }
}
