use std::time::Duration;

use rand_pcg::Pcg32;
use ring::{Id, Space};

use crate::ctx::ProtocolEffect;
use crate::liveness::Liveness;
use crate::{Ctx, NodeConfig, Overlay, Peer, Time};

/// What a bare protocol left in its [`Ctx`] in one step.
#[derive(Clone, Debug)]
pub struct Effects<P: Overlay> {
    /// Calls to make.
    pub calls: Vec<(Peer, P::Request)>,
    /// Timers in order: set to go off after the duration, or with `None` forgotten.
    pub timers: Vec<(P::Timer, Option<Duration>)>,
    /// Lookups to run.
    pub lookups: Vec<(Id, Option<Peer>)>,
    /// Why the node can't go on, if it said so.
    pub lost: Option<String>,
}

/// Lets a bare protocol handle one input, and returns what it answered and what it wants done.
pub fn step<P: Overlay, R>(now: Time, rng: &mut Pcg32, input: impl FnOnce(&mut Ctx<'_, P>) -> R) -> (R, Effects<P>) {
    let mut left = Vec::new();
    // Nobody was ever heard of: no round trips, no deaths.
    let liveness = Liveness::new(Space::SHA1.zero(), &NodeConfig::default());
    let answer = input(&mut Ctx { now, rng, liveness: &liveness, effects: &mut left });
    let mut effects = Effects { calls: Vec::new(), timers: Vec::new(), lookups: Vec::new(), lost: None };
    for effect in left {
        match effect {
            ProtocolEffect::Call { to, request } => effects.calls.push((to, request)),
            ProtocolEffect::Arm { timer, after } => effects.timers.push((timer, Some(after))),
            ProtocolEffect::Disarm { timer } => effects.timers.push((timer, None)),
            ProtocolEffect::Locate { target, via, .. } => effects.lookups.push((target, via)),
            ProtocolEffect::Lost { why } => effects.lost = Some(why),
        }
    }
    (answer, effects)
}
