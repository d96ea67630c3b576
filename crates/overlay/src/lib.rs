//! The contract between an overlay protocol and whatever drives it, with what every overlay shares.
//!
//! A protocol is pure state: it implements [`Overlay`], takes inputs and leaves what it wants done in
//! a [`Ctx`]. [`Node`] wraps it with all that is the same for every overlay, each a small machine of
//! its own: starting and coming back (`starting`), two rings that meet (`meeting`), lookups (`lookup`),
//! recursive ones (`relay`), who is alive (`liveness`) and how far away (`rtt`), going away. A driver hands a `Node` the time and
//! what happened, carries out the [`Effect`]s it finds in [`Node::poll_effect`], and wakes it at
//! [`Node::next_wake`]; it may run over real sockets or in virtual time.
//!
//! Here is the whole life of a ring of one, over an overlay that has no messages at all:
//!
//! ```
//! use overlay::*;
//! # use ring::{Id, Range, Space};
//! # #[derive(Clone, Debug)]
//! # struct Alone { me: Peer, ready: bool }
//! # impl Overlay for Alone {
//! #     type Request = ();
//! #     type Response = ();
//! #     type Timer = ();
//! #     type Config = ();
//! #     type Table = ();
//! #     const NAME: &'static str = "alone";
//! #     fn new(me: Peer, _: ()) -> Self { Self { me, ready: false } }
//! #     fn create(&mut self, _: &mut Ctx<'_, Self>) { self.ready = true; }
//! #     fn join(&mut self, _: Peer, ctx: &mut Ctx<'_, Self>) { ctx.lost("nobody else fits in"); }
//! #     fn reset(&mut self, me: Peer) { *self = Self::new(me, ()); }
//! #     fn is_ready(&self) -> bool { self.ready }
//! #     fn resumed(&mut self, _: &mut Ctx<'_, Self>) {}
//! #     fn on_departure(&mut self, _: &Peer, _: Departure, _: &mut Ctx<'_, Self>) {}
//! #     fn neighbours(&self) -> Vec<Peer> { Vec::new() }
//! #     fn route(&self, _: Id, _: &[Id]) -> Route {
//! #         let hops = vec![Hop { peer: self.me.clone(), via: Via::Owner }];
//! #         Route::Owners { hops, arc: Some(Range::full(self.me.id)) }
//! #     }
//! #     fn distance(&self, from: Id, target: Id) -> Distance { Distance::plain(from.distance_to(target)) }
//! #     fn lookup_request(&self, _: Id, _: Vec<Id>) {}
//! #     fn lookup_answer(&self, _: &()) -> Option<Route> { None }
//! #     fn serve(&mut self, _: &Peer, _: (), _: &mut Ctx<'_, Self>) -> Result<(), Refusal> { Ok(()) }
//! #     fn on_reply(&mut self, _: &Peer, _: (), _: Result<(), Failure>, _: &mut Ctx<'_, Self>) {}
//! #     fn on_timer(&mut self, _: (), _: &mut Ctx<'_, Self>) {}
//! #     fn on_located(&mut self, _: Id, _: Result<Located, Failure>, _: &mut Ctx<'_, Self>) {}
//! #     fn shares(&self) -> Vec<Share> { Vec::new() }
//! #     fn table(&self) {}
//! # }
//!
//! let space = Space::new(16)?;
//! let addr = Addr::new("127.0.0.1:7160").ok_or("an address")?;
//! let me = Peer { id: space.hash(b"127.0.0.1:7160"), addr, incarnation: 1 };
//! let mut node: Node<Alone> = Node::new(me.clone(), Settings::default(), NodeConfig::default(), (), 42);
//!
//! // Nobody to join: it starts a ring, and says so.
//! let start = Start { seeds: vec![], remembered: vec![], disk_ring: None, wall_ms: 1_700_000_000_000 };
//! node.start(Time(0), start);
//! let ring = RingId { started_ms: 1_700_000_000_000, starter: me.id };
//! let news = std::iter::from_fn(|| node.poll_effect()).collect::<Vec<_>>();
//! assert!(matches!(news[0], Effect::Event(Event::Ring { ring: its, founded: true }) if its == ring));
//! assert_eq!(node.view().state, State::Ready);
//!
//! // It owns everything.
//! let query = node.locate(Time(1_000), space.hash(b"a key"));
//! match node.poll_effect() {
//!     Some(Effect::Located { query: its, result: Ok(found) }) => {
//!         assert_eq!((its, found.owners), (query, vec![me]));
//!     }
//!     other => panic!("{other:?}"),
//! }
//!
//! node.depart(Time(2_000), Departure::Stop);
//! assert_eq!(node.view().state, State::Left);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod contract;
mod ctx;
mod effect;
pub mod inspect;
mod liveness;
mod located;
mod lookup;
mod meeting;
mod message;
mod node;
mod peer;
mod relay;
mod rtt;
mod starting;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(test)]
mod toy;
mod view;

pub use config::{NodeConfig, Routing, Start};
pub use contract::*;
pub use ctx::{Ctx, growing};
pub use effect::{CallId, Effect, Event, QueryId};
pub use located::{LocateError, Located, Step};
pub use message::{Envelope, Forward, Found, Hello, HelloReply, HelloState, Request, Response, Settings};
pub use node::Node;
pub use peer::{Addr, Peer, RingId};
pub use view::{Known, State, View};
