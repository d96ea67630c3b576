use std::time::Duration;

use rand::RngExt;
use rand_pcg::Pcg32;
use ring::Id;

use crate::liveness::Liveness;
use crate::lookup::Sought;
use crate::{Overlay, Peer, Time};

/// What a protocol may do while it handles one input: read the time, draw random numbers, and leave effects.
pub struct Ctx<'a, P: Overlay> {
    /// Now.
    pub now: Time,
    /// The node's own generator, seeded by the driver.
    pub rng: &'a mut Pcg32,
    pub(crate) liveness: &'a Liveness,
    pub(crate) effects: &'a mut Vec<ProtocolEffect<P>>,
}

/// What a protocol left in its [`Ctx`]; [`crate::Node`] turns these into calls, timers and lookups.
#[derive(Clone, Debug)]
pub(crate) enum ProtocolEffect<P: Overlay> {
    Call { to: Peer, request: P::Request },
    Arm { timer: P::Timer, after: Duration },
    Disarm { timer: P::Timer },
    Locate { target: Id, sought: Sought, via: Option<Peer> },
    Lost { why: String },
}

/// How long to wait before something is tried again that failed so many times: 20 ms, half as much again each time,
/// 500 ms at most.
pub fn growing(times: u32) -> Duration {
    let mut millis = 20;
    for _ in 0..times.min(12) {
        millis = (millis * 3 / 2).min(500);
    }
    Duration::from_millis(millis)
}

impl<P: Overlay> Ctx<'_, P> {
    /// Ask a peer. Ends exactly once, in [`Overlay::on_reply`]. Deadlines come from the peer's smoothed RTT,
    /// and a call that is missed is repeated until the peer answers or is declared dead: to a protocol,
    /// [`crate::Failure::TimedOut`] and [`crate::Failure::Unreachable`] mean that it is dead.
    pub fn call(&mut self, to: Peer, request: P::Request) {
        self.effects.push(ProtocolEffect::Call { to, request });
    }

    /// Set (or set again) the timer of this tag.
    pub fn arm(&mut self, timer: P::Timer, after: Duration) {
        self.effects.push(ProtocolEffect::Arm { timer, after });
    }

    /// The same for about `period`, a quarter more or less: nodes that started together do not act together for ever.
    pub fn arm_about(&mut self, timer: P::Timer, period: Duration) {
        let micros = u64::try_from(period.as_micros()).unwrap_or(u64::MAX / 8);
        let span = micros / 2;
        let after = micros - span / 2 + self.rng.random_range(0..=span);
        self.arm(timer, Duration::from_micros(after));
    }

    /// The same for a next try after so many failures: [`growing`], or down to half of that, so that nobody tries in step
    /// with others.
    pub fn arm_again(&mut self, timer: P::Timer, failures: u32) {
        let longest = growing(failures).as_micros() as u64;
        let after = self.rng.random_range(longest / 2..=longest);
        self.arm(timer, Duration::from_micros(after));
    }

    /// Forget the timer of this tag.
    pub fn disarm(&mut self, timer: P::Timer) {
        self.effects.push(ProtocolEffect::Disarm { timer });
    }

    /// Find the owner of `target` with the shared lookup, from one's own tables or, while one has none,
    /// through `via`; the latter always iteratively. Ends in [`Overlay::on_located`].
    pub fn locate(&mut self, target: Id, via: Option<Peer>) {
        self.effects.push(ProtocolEffect::Locate { target, sought: Sought::Owner, via });
    }

    /// The same for the member of this identifier ([`Overlay::route_to_member`]). Ends in [`Overlay::on_located`] as well.
    pub fn locate_member(&mut self, id: Id, via: Option<Peer>) {
        self.effects.push(ProtocolEffect::Locate { target: id, sought: Sought::Member, via });
    }

    /// Smoothed round trip to a peer, once one was measured.
    pub fn rtt(&self, peer: &Peer) -> Option<Duration> {
        self.liveness.smoothed(peer)
    }

    /// Declared dead, or an older life of a peer that is known in a newer one.
    pub fn is_dead(&self, peer: &Peer) -> bool {
        self.liveness.is_dead(peer)
    }

    /// This node can't go on in the ring: every neighbour is gone, or the member it joins through is.
    /// The shared starting rules take over and find another way in.
    pub fn lost(&mut self, why: impl Into<String>) {
        self.effects.push(ProtocolEffect::Lost { why: why.into() });
    }
}
