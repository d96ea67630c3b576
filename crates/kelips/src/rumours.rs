//! Rumours: that a member is gone is told at once, looked into by everybody, and believed by nobody.

use overlay::{Ctx, Peer};
use ring::Id;

use crate::gossip::picked;
use crate::kelips::Stage;
use crate::view::{GONE_MAX, Known, Over};
use crate::{Gone, Gossip, Kelips, Request};

/// Members that are told at once of one that is gone.
const LISTENERS: usize = 8;
/// Rumours in one message.
pub(crate) const TOLD_MAX: usize = 8;
/// Rumours that were passed on lately; while there are so many, no more are.
const RUMOURS_MAX: usize = 256;

impl Kelips {
    /// "Their lives are over": never believed, always looked into.
    pub(crate) fn on_rumours(&mut self, rumours: &[Gone], ctx: &mut Ctx<'_, Self>) {
        let (me, mut news) = (self.me.id, Vec::new());
        // No more than anybody says at a time: each is work for the whole group.
        for rumour in rumours.iter().take(TOLD_MAX).filter(|rumour| rumour.id != me) {
            let known = self.known(rumour.id).map(|known| known.entry.peer.clone());
            match known {
                Some(peer) if peer.incarnation == rumour.incarnation => {
                    self.ping(&peer, ctx);
                    news.push(peer);
                }
                Some(_) => {}
                None if !self.gone.contains_key(&rumour.id) && self.gone.len() < GONE_MAX => {
                    let (incarnation, since) = (rumour.incarnation, self.round);
                    let over = Over { incarnation, heartbeat: 0, departed: false, since, sent: u32::MAX };
                    self.gone.insert(rumour.id, over);
                }
                None => {}
            }
        }
        self.pass_on(&news, ctx);
    }

    /// Tells the group at once that members are gone, or said to be: everybody finds out for itself, so nothing is lost
    /// by not waiting, and views differ for as long as messages travel instead of for rounds. Each node does so once in a while.
    pub(crate) fn pass_on(&mut self, peers: &[Peer], ctx: &mut Ctx<'_, Self>) {
        let mut gone = Vec::new();
        for peer in peers {
            let told = |(id, incarnation, _): &(Id, u64, u64)| (*id, *incarnation) == (peer.id, peer.incarnation);
            if self.rumours.len() < RUMOURS_MAX && !self.rumours.iter().any(told) {
                self.rumours.push((peer.id, peer.incarnation, self.round));
                gone.push(Gone { id: peer.id, incarnation: peer.incarnation });
            }
        }
        if self.stage != Stage::Ready || gone.is_empty() {
            return;
        }
        let others = self.members.values().filter(|known| !gone.iter().any(|gone| gone.id == known.entry.peer.id));
        let members: Vec<&Known> = others.collect();
        let listeners = picked(members, LISTENERS, false, ctx);
        let gossip = Gossip { presence: self.presence(), gone, ..Gossip::default() };
        listeners.into_iter().for_each(|listener| ctx.call(listener, Request::Gossip(gossip.clone())));
    }
}
