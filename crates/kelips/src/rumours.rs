//! Rumours: that a member is gone is told at once, looked into by everybody, and believed by nobody.

use overlay::{Ctx, Peer};
use ring::Id;

use crate::gossip::picked;
use crate::kelips::Stage;
use crate::view::{GONE_MAX, Known, Over};
use crate::{Gone, Gossip, Kelips, Request};

/// Members that are told at once of one that is gone.
const LISTENERS: usize = 8;
/// Rumours that were passed on, the latest.
const RUMOURS_MAX: usize = 256;

impl Kelips {
    /// "Its life is over": never believed, always looked into.
    pub(crate) fn on_rumour(&mut self, rumour: &Gone, ctx: &mut Ctx<'_, Self>) {
        if rumour.id == self.me.id {
            return;
        }
        match self.known(rumour.id).map(|known| known.entry.peer.clone()) {
            Some(peer) if peer.incarnation == rumour.incarnation => {
                self.ping(&peer, ctx);
                self.pass_on(&peer, ctx);
            }
            Some(_) => {}
            None if !self.gone.contains_key(&rumour.id) => {
                let since = self.round;
                if self.gone.len() < GONE_MAX {
                    let incarnation = rumour.incarnation;
                    let over = Over { incarnation, heartbeat: 0, departed: false, since, sent: u32::MAX };
                    self.gone.insert(rumour.id, over);
                }
            }
            None => {}
        }
    }

    /// Tells the group at once that a member is gone, or said to be: everybody finds out for itself, so nothing is lost
    /// by not waiting, and views differ for as long as messages travel instead of for rounds. Each node does so once in a while.
    pub(crate) fn pass_on(&mut self, peer: &Peer, ctx: &mut Ctx<'_, Self>) {
        let told = |(id, incarnation, _): &(Id, u64, u64)| (*id, *incarnation) == (peer.id, peer.incarnation);
        if self.stage != Stage::Ready || self.rumours.iter().any(told) {
            return;
        }
        if self.rumours.len() >= RUMOURS_MAX {
            self.rumours.remove(0);
        }
        self.rumours.push((peer.id, peer.incarnation, self.round));
        let members: Vec<&Known> = self.members.values().filter(|known| known.entry.peer.id != peer.id).collect();
        let listeners = picked(members, LISTENERS, false, ctx);
        let gone = Gone { id: peer.id, incarnation: peer.incarnation };
        let gossip = Gossip { presence: self.presence(), gone: vec![gone], ..Gossip::default() };
        listeners.into_iter().for_each(|listener| ctx.call(listener, Request::Gossip(gossip.clone())));
    }
}
