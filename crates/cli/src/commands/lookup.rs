use clap::Args;
use client::message::{LookupResponse, LookupStep, Via};
use client::{Client, Error};
use ring::Space;
use serde::Serialize;

use super::PeerJson;
use crate::args::key_bytes;
use crate::columns::Columns;
use crate::context::Context;
use crate::digits::{Digits, short};
use crate::exit::{Failure, Result};
use crate::output::{Paint, counted, duration_us};

/// Show the route to a key's owner, hop by hop, without touching data
#[derive(Args, Debug)]
pub(crate) struct Lookup {
    /// The key: UTF-8, or hexadecimal with --hex
    #[arg(required_unless_present = "id", conflicts_with = "id")]
    key: Option<String>,
    /// The key is written in hexadecimal digits, two a byte
    #[arg(long, conflicts_with = "id")]
    hex: bool,
    /// Look an identifier up instead, in hexadecimal digits
    #[arg(long, value_name = "HEX")]
    id: Option<String>,
}

/// A route, as JSON shows it. It ends at the node that answered for the key, which in an overlay that keeps data apart
/// from who finds it need be neither the owner nor a holder.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct Route {
    pub(crate) key: Option<String>,
    pub(crate) id: String,
    pub(crate) protocol: String,
    pub(crate) owner: PeerJson,
    pub(crate) replicas: Vec<PeerJson>,
    pub(crate) hops: usize,
    pub(crate) path: Vec<Step>,
    pub(crate) elapsed_us: u64,
}

/// One node on the way; how it was reached from the one before.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct Step {
    pub(crate) id: String,
    pub(crate) addr: String,
    pub(crate) rtt_us: Option<u64>,
    pub(crate) via: Option<&'static str>,
}

impl Lookup {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let client = context.client()?;
        let answer = match (&self.key, &self.id) {
            (Some(key), _) => client.lookup(key_bytes(key, self.hex)?).await,
            (None, id) => lookup_id(&client, id.as_deref().unwrap_or_default()).await?,
        }?;
        let ids = answer.path.iter().filter_map(|step| step.peer.as_ref()).map(|peer| &peer.id[..]);
        let digits = Digits::of(&client, ids.chain([&answer.id[..]])).await;
        let route = Route::new(self.key, &answer, digits)?;
        context.out.show(&route, text)
    }
}

/// The wire wants ⌈m/8⌉ bytes, so the node is asked for its *m* first.
async fn lookup_id(client: &Client, digits: &str) -> Result<std::result::Result<LookupResponse, Error>> {
    let space = Space::new(client.status().await?.id_bits).map_err(|error| Failure::other(error.to_string()))?;
    let id = space.parse(digits).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(client.lookup_id(id.to_bytes()).await)
}

impl Route {
    pub(crate) fn new(key: Option<String>, answer: &LookupResponse, digits: Digits) -> Result<Self> {
        let incomplete = |what| Failure::other(format!("the node answered without the route's {what}"));
        let owner = answer.owner.as_ref().ok_or_else(|| incomplete("owner"))?;
        let step = |(place, step): (usize, &LookupStep)| {
            let peer = step.peer.as_ref().ok_or_else(|| incomplete("nodes"))?;
            let reached = place > 0;
            Ok(Step {
                id: digits.show(&peer.id),
                addr: peer.addr.clone(),
                rtt_us: step.rtt_us.filter(|_| reached),
                via: via(step.via()).filter(|_| reached),
            })
        };
        let path = answer.path.iter().enumerate().map(step).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            key,
            id: digits.show(&answer.id),
            protocol: answer.protocol.clone(),
            owner: PeerJson::new(owner, digits),
            replicas: answer.replicas.iter().map(|peer| PeerJson::new(peer, digits)).collect(),
            hops: path.len().saturating_sub(1),
            path,
            elapsed_us: answer.elapsed_us,
        })
    }
}

/// The table entry that a hop was taken from. A node that only named itself tells none.
fn via(via: Via) -> Option<&'static str> {
    match via {
        Via::Unspecified | Via::Owner => None,
        Via::Successor => Some("successor"),
        Via::Finger => Some("finger"),
        Via::Leaf => Some("leaf"),
        Via::Prefix => Some("prefix"),
        Via::Rare => Some("rare"),
        Via::Contact => Some("contact"),
        Via::Group => Some("group"),
        Via::Cache => Some("cache"),
    }
}

/// A route for people.
pub(crate) fn text(route: &Route, paint: Paint) -> String {
    let mut head = Columns::bare();
    if let Some(key) = &route.key {
        head.row(["key".to_owned(), paint.bold(key)]);
    }
    head.row(["id".to_owned(), route.id.clone()]);
    head.row(["owner".to_owned(), route.owner.id.clone(), route.owner.addr.clone()]);
    for (place, copy) in route.replicas.iter().filter(|copy| copy.id != route.owner.id).enumerate() {
        let label = if place == 0 { "copies at" } else { "" };
        head.row([label.to_owned(), copy.id.clone(), copy.addr.clone()]);
    }
    let taken = duration_us(route.elapsed_us);
    let hops = counted(route.hops as u64, "hop");
    format!("{}\n{}\n{hops} in {taken}\n", head.render(0), path_text(route, paint))
}

/// The hops, a line each.
pub(crate) fn path_text(route: &Route, paint: Paint) -> String {
    let mut columns = Columns::new(&[">hop", "node", "address", ">rtt", "reached by"]);
    for (place, step) in route.path.iter().enumerate() {
        let via = match (place, step.via) {
            (0, _) => paint.dim("asked"),
            (_, via) => paint.accent(via.unwrap_or("-")),
        };
        let rtt = step.rtt_us.map_or_else(|| paint.dim("-"), duration_us);
        columns.row([place.to_string(), short(&step.id), step.addr.clone(), rtt, via]);
    }
    columns.render(0)
}

#[cfg(test)]
mod tests {
    use client::message::Peer;

    use super::*;

    fn peer(id: u8) -> Option<Peer> {
        Some(Peer { id: vec![id].into(), addr: format!("127.0.0.1:{}", 7000 + u32::from(id)), incarnation: 1 })
    }

    fn answer() -> LookupResponse {
        let step = |id, rtt_us, via: Via| LookupStep { peer: peer(id), rtt_us, via: via.into() };
        LookupResponse {
            id: vec![54].into(),
            protocol: "chord".into(),
            owner: peer(56),
            replicas: vec![peer(56).unwrap(), peer(1).unwrap()],
            path: vec![step(8, Some(1), Via::Owner), step(42, Some(812), Via::Finger), step(56, None, Via::Successor)],
            elapsed_us: 2345,
        }
    }

    #[test]
    fn a_route_is_shown_hop_by_hop() {
        let route = Route::new(None, &answer(), Digits::of_bits(6)).unwrap();
        let expected = "\
id         36
owner      38  127.0.0.1:7056
copies at  01  127.0.0.1:7001

hop  node  address            rtt  reached by
  0  08    127.0.0.1:7008       -  asked
  1  2a    127.0.0.1:7042  812 µs  finger
  2  38    127.0.0.1:7056       -  successor

2 hops in 2.35 ms
";
        assert_eq!(text(&route, Paint::PLAIN), expected);
    }

    #[test]
    fn an_owner_that_holds_nothing_stands_beside_all_holders_and_the_path_ends_at_whoever_answered() {
        let step = |id, via: Via| LookupStep { peer: peer(id), rtt_us: Some(300), via: via.into() };
        let answer = LookupResponse {
            protocol: "kelips".into(),
            owner: peer(20),
            replicas: vec![peer(1).unwrap(), peer(32).unwrap()],
            path: vec![step(8, Via::Owner), step(42, Via::Contact)],
            ..answer()
        };
        let route = Route::new(None, &answer, Digits::of_bits(6)).unwrap();
        let expected = "\
id         36
owner      14  127.0.0.1:7020
copies at  01  127.0.0.1:7001
           20  127.0.0.1:7032

hop  node  address            rtt  reached by
  0  08    127.0.0.1:7008       -  asked
  1  2a    127.0.0.1:7042  300 µs  contact

1 hop in 2.35 ms
";
        assert_eq!(text(&route, Paint::PLAIN), expected);
        let json = serde_json::to_value(&route).unwrap();
        assert_eq!((&json["owner"]["id"], &json["replicas"][1]["id"]), (&"14".into(), &"20".into()));
        assert_eq!((&json["hops"], &json["path"][1]["id"]), (&1.into(), &"2a".into()));
    }

    #[test]
    fn json_tells_nothing_of_how_the_first_node_was_reached() {
        let route = Route::new(Some("k".into()), &answer(), Digits::of_bits(6)).unwrap();
        let expected = concat!(
            r#"{"key":"k","id":"36","protocol":"chord","owner":{"id":"38","addr":"127.0.0.1:7056"},"#,
            r#""replicas":[{"id":"38","addr":"127.0.0.1:7056"},{"id":"01","addr":"127.0.0.1:7001"}],"hops":2,"path":["#,
            r#"{"id":"08","addr":"127.0.0.1:7008","rtt_us":null,"via":null},"#,
            r#"{"id":"2a","addr":"127.0.0.1:7042","rtt_us":812,"via":"finger"},"#,
            r#"{"id":"38","addr":"127.0.0.1:7056","rtt_us":null,"via":"successor"}],"elapsed_us":2345}"#
        );
        assert_eq!(serde_json::to_string(&route).unwrap(), expected);
    }
}
