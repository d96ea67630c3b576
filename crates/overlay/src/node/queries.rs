//! Lookups under way: for the layers above, for the protocol, and for the watch over other rings.

use std::time::Duration;

use ring::Id;

use super::calls::{Pending, Purpose};
use super::rings::Check;
use super::{Node, Phase};
use crate::lookup::{Lookup, Next, Origin, Sought};
use crate::starting::taken;
use crate::{
    Distance, Effect, Failure, Found, LocateError, Located, Overlay, Peer, QueryId, Refusal, Response, Routing, State,
    Time,
};

/// Lookups at a time; beyond that, new ones fail at once.
const QUERIES_MAX: usize = 16_384;

/// A lookup and who wants to know.
#[derive(Clone, Debug)]
pub(super) struct Query {
    lookup: Lookup,
    pub(super) asker: Asker,
    way: Way,
    /// Its place in the node's list of wakes.
    wake: Time,
}

/// How a query is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// By this node, step by step.
    Iterative,
    /// By others, until this node looks for itself.
    Recursive {
        /// When it does.
        until: Time,
    },
    /// By this node, since nothing came back in time; what still comes back counts.
    FellBack,
}

/// Who wants to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asker {
    /// [`Node::locate`]'s caller.
    User,
    /// The protocol.
    Protocol,
    /// The watch over other rings.
    Rings(Check),
}

impl<P: Overlay> Node<P> {
    pub(super) fn begin_query(&mut self, sought: Sought, target: Id, origin: Origin, asker: Asker) -> QueryId {
        let id = QueryId(self.number());
        let member = matches!(self.standing(), State::Ready | State::Leaving) && self.ring.is_some();
        if asker == Asker::User && (!member || matches!(self.phase, Phase::Departing { .. })) {
            self.finish(id, asker, target, Err(LocateError::Joining));
        } else if self.queries.len() >= QUERIES_MAX {
            self.finish(id, asker, target, Err(LocateError::TimedOut { asked: 0, silent: 0 }));
        } else {
            let deadline = self.now.plus(self.config.lookup_timeout);
            let parallelism = self.config.lookup_parallelism;
            let recursive = member && self.goes_through_others(sought, &origin, asker);
            let until = self.now.plus(self.liveness.journey()).min(deadline);
            let way = if recursive { Way::Recursive { until } } else { Way::Iterative };
            let lookup = Lookup::new(self.me.clone(), (sought, target), origin, parallelism, deadline);
            self.queries.insert(id, Query { lookup, asker, way, wake: self.now });
            if recursive {
                self.set_out(id, target);
            }
            self.drive(id);
        }
        id
    }

    /// Joins, members and the watch over other rings ask one by one: there is no table to begin with, or the way is the
    /// point.
    fn goes_through_others(&self, sought: Sought, origin: &Origin, asker: Asker) -> bool {
        let routing = self.config.routing == Routing::Recursive;
        let asker = matches!(asker, Asker::User | Asker::Protocol);
        routing && asker && sought == Sought::Owner && *origin == Origin::Tables
    }

    /// Does whatever the lookup wants done now.
    pub(super) fn drive(&mut self, id: QueryId) {
        while let Some(query) = self.queries.get_mut(&id) {
            if let Way::Recursive { until } = query.way {
                if self.now < until {
                    return self.wake_query(id, until);
                }
                query.way = Way::FellBack;
            }
            let liveness = &self.liveness;
            let next = query.lookup.next(self.now, |peer| liveness.patience(peer), |peer| liveness.is_dead(peer));
            let (sought, target) = (query.lookup.sought(), query.lookup.target());
            match next {
                Next::Ask(peer) => self.send(Pending::to_peer(peer, Purpose::Lookup(id))),
                Next::AskSelf => {
                    let mut avoid = liveness.doubtful();
                    avoid.extend(query.lookup.avoid());
                    let protocol = &self.protocol;
                    let route = match sought {
                        Sought::Owner => protocol.route(target, &avoid),
                        Sought::Member => protocol.route_to_member(target, &avoid),
                    };
                    query.lookup.on_own_answer(route, |from| distance(protocol, sought, from, target));
                }
                Next::Wait => {
                    let wake = query.lookup.wake(self.now);
                    return self.wake_query(id, wake);
                }
                Next::Done(located) => self.end_query(id, Ok(located)),
                Next::Failed(error) => self.end_query(id, Err(error)),
            }
        }
    }

    fn wake_query(&mut self, id: QueryId, wake: Time) {
        if let Some(query) = self.queries.get_mut(&id) {
            self.query_wakes.remove(&(std::mem::replace(&mut query.wake, wake), id));
            self.query_wakes.insert((wake, id));
        }
    }

    /// A query that others were to pass on is stuck at this very node: it looks for itself.
    pub(super) fn fall_back(&mut self, id: QueryId) {
        if let Some(query) = self.queries.get_mut(&id).filter(|query| query.way != Way::Iterative) {
            query.way = Way::FellBack;
            self.drive(id);
        }
    }

    /// Others have found what one of this node's queries looks for. What nobody waits for any more is passed over.
    pub(super) fn on_found(&mut self, found: Found) -> Result<Response<P>, Refusal> {
        let Found { query, located } = found;
        let from_here = located.path.first().is_some_and(|step| step.peer.id == self.me.id);
        if !from_here || located.owners.is_empty() {
            return Err(Refusal::Malformed("located".to_owned()));
        }
        let waits = |query: &Query| query.way != Way::Iterative && query.lookup.target() == located.target;
        if self.queries.get(&query).is_some_and(waits) {
            self.end_query(query, Ok(located));
        }
        Ok(Response::Noted)
    }

    /// The request for one step, as things stand; none when the query is over.
    pub(super) fn lookup_request(&self, query: QueryId) -> Option<P::Request> {
        let lookup = &self.queries.get(&query)?.lookup;
        let avoid = lookup.avoid().to_vec();
        Some(match lookup.sought() {
            Sought::Owner => self.protocol.lookup_request(lookup.target(), avoid),
            Sought::Member => self.protocol.member_request(lookup.target(), avoid),
        })
    }

    pub(super) fn on_lookup_answer(&mut self, query: QueryId, from: &Peer, response: &P::Response, rtt: Duration) {
        let route = self.protocol.lookup_answer(response);
        let Some(Query { lookup, .. }) = self.queries.get_mut(&query) else {
            return;
        };
        let (protocol, sought, target) = (&self.protocol, lookup.sought(), lookup.target());
        match route {
            Some(route) => lookup.on_answer(from, route, rtt, |id| distance(protocol, sought, id, target)),
            None => lookup.on_refusal(from),
        }
        self.drive(query);
    }

    pub(super) fn on_lookup_gone(&mut self, query: QueryId, from: &Peer) {
        if let Some(Query { lookup, .. }) = self.queries.get_mut(&query) {
            lookup.on_gone(from);
            self.drive(query);
        }
    }

    pub(super) fn on_lookup_failure(&mut self, query: QueryId, from: &Peer, silent: bool) {
        let Some(Query { lookup, .. }) = self.queries.get_mut(&query) else {
            return;
        };
        if silent {
            lookup.on_failure(from);
        } else {
            lookup.on_refusal(from);
        }
        self.drive(query);
    }

    /// After a pause: the protocol's lookups begin again, those of the watch are dropped, and a
    /// user's keep their deadline, since their callers' clocks went on.
    pub(super) fn restart_queries(&mut self) {
        let deadline = self.now.plus(self.config.lookup_timeout);
        let queries = self.queries.iter().map(|(id, query)| (*id, query.asker)).collect::<Vec<_>>();
        for (id, asker) in queries {
            match (asker, self.queries.get_mut(&id)) {
                (Asker::Protocol, Some(query)) => {
                    query.lookup = query.lookup.restarted(deadline);
                    query.way = Way::Iterative;
                    self.drive(id);
                }
                (Asker::Rings(_), _) => drop(self.drop_query(id)),
                _ => {}
            }
        }
    }

    /// This node leaves its ring: nothing that was asked in it can be answered, nor passed on.
    pub(super) fn abandon_queries(&mut self) {
        self.query_wakes.clear();
        self.relays.clear();
        let queries = std::mem::take(&mut self.queries);
        for (id, query) in queries.into_iter().filter(|(_, query)| query.asker == Asker::User) {
            self.finish(id, query.asker, query.lookup.target(), Err(LocateError::Joining));
        }
    }

    pub(super) fn drop_query(&mut self, id: QueryId) -> Option<Query> {
        let query = self.queries.remove(&id)?;
        self.query_wakes.remove(&(query.wake, id));
        Some(query)
    }

    fn end_query(&mut self, id: QueryId, result: Result<Located, LocateError>) {
        if let Some(query) = self.drop_query(id) {
            self.finish(id, query.asker, query.lookup.target(), result);
        }
    }

    fn finish(&mut self, id: QueryId, asker: Asker, target: Id, result: Result<Located, LocateError>) {
        match asker {
            Asker::User => self.effects.push_back(Effect::Located { query: id, result }),
            Asker::Rings(check) => self.on_check_located(check, result),
            Asker::Protocol => {
                if let Some(holder) = self.rival(target, &result) {
                    return self.refuse(taken(&holder));
                }
                let found = result.map_err(|_| Failure::TimedOut);
                self.with_protocol(|protocol, ctx| protocol.on_located(target, found, ctx));
            }
        }
    }

    /// While joining: the live node at another address that holds this node's own identifier.
    fn rival(&self, target: Id, result: &Result<Located, LocateError>) -> Option<Peer> {
        let owner = result.as_ref().ok()?.owners.first()?;
        let ours = target == self.me.id && owner.id == self.me.id && self.standing() == State::Joining;
        (ours && owner.addr != self.me.addr).then(|| owner.clone())
    }
}

fn distance<P: Overlay>(protocol: &P, sought: Sought, from: Id, target: Id) -> Distance {
    match sought {
        Sought::Owner => protocol.distance(from, target),
        Sought::Member => protocol.distance_to_member(from, target),
    }
}
