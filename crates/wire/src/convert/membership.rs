//! membership.proto.

use std::time::Duration;

use overlay::{Departure, Forward, Found, Hello, HelloReply, HelloState, Located, QueryId, Settings, Step, Via};
use ring::Space;

use super::common::{id_bytes, identifier, read_avoid, text, to_avoid};
use crate::form::{bounded, list, message, messages, optional, required};
use crate::{Malformed, WireForm, v1};

/// Settings that a cluster may have to agree on.
const SETTINGS_MAX: usize = 64;
/// Members named in one answer.
const MEMBERS_MAX: usize = 1024;
/// Hops of a query.
const HOPS_MAX: usize = 64;
/// Owners and holders in one answer.
const OWNERS_MAX: usize = 256;

impl WireForm for Settings {
    type Message = Vec<v1::Setting>;

    fn to_message(&self) -> Vec<v1::Setting> {
        let setting = |(name, value): &(String, String)| v1::Setting { name: name.clone(), value: value.clone() };
        self.0.iter().map(setting).collect()
    }

    fn from_message(message: Vec<v1::Setting>, _: Space) -> Result<Self, Malformed> {
        bounded("settings", message.len(), SETTINGS_MAX)?;
        let read =
            |setting: v1::Setting| Ok((text("settings.name", setting.name)?, text("settings.value", setting.value)?));
        message.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl WireForm for HelloState {
    type Message = i32;

    fn to_message(&self) -> i32 {
        let standing = match self {
            HelloState::Searching => v1::Standing::Searching,
            HelloState::Joining => v1::Standing::Joining,
            HelloState::Ready => v1::Standing::Ready,
            HelloState::Leaving => v1::Standing::Leaving,
        };
        standing.into()
    }

    fn from_message(message: i32, _: Space) -> Result<Self, Malformed> {
        Ok(match v1::Standing::try_from(message) {
            Ok(v1::Standing::Searching) => HelloState::Searching,
            Ok(v1::Standing::Joining) => HelloState::Joining,
            Ok(v1::Standing::Ready) => HelloState::Ready,
            Ok(v1::Standing::Leaving) => HelloState::Leaving,
            Ok(v1::Standing::Unspecified) => return Err(Malformed::missing("standing")),
            Err(_) => {
                return Err(Malformed::new("standing", format_args!("is {message}, which is unknown here")));
            }
        })
    }
}

pub(crate) fn to_hello(hello: &Hello, envelope: v1::Envelope, space: Space) -> v1::HelloRequest {
    v1::HelloRequest {
        envelope: Some(envelope),
        settings: hello.settings.to_message(),
        standing: hello.state.to_message(),
        disk_ring: message(&hello.disk_ring),
        id_bits: space.bits(),
    }
}

/// Reads all of it but the envelope.
pub(crate) fn read_hello(message: v1::HelloRequest, space: Space) -> Result<Hello, Malformed> {
    Ok(Hello {
        settings: Settings::from_message(message.settings, space)?,
        state: HelloState::from_message(message.standing, space)?,
        disk_ring: optional("disk_ring", message.disk_ring, space)?,
    })
}

impl WireForm for HelloReply {
    type Message = v1::HelloResponse;

    fn to_message(&self) -> v1::HelloResponse {
        v1::HelloResponse {
            me: Some(self.me.to_message()),
            standing: self.state.to_message(),
            ring: message(&self.ring),
            disk_ring: message(&self.disk_ring),
            settings: self.settings.to_message(),
            members: messages(&self.members),
            refusal: None,
        }
    }

    fn from_message(message: v1::HelloResponse, space: Space) -> Result<Self, Malformed> {
        Ok(Self {
            me: required("me", message.me, space)?,
            state: HelloState::from_message(message.standing, space)?,
            ring: optional("ring", message.ring, space)?,
            disk_ring: optional("disk_ring", message.disk_ring, space)?,
            settings: Settings::from_message(message.settings, space)?,
            members: list("members", message.members, MEMBERS_MAX, space)?,
        })
    }
}

pub(crate) fn to_depart(departure: Departure, envelope: v1::Envelope) -> v1::DepartRequest {
    v1::DepartRequest { envelope: Some(envelope), stops: departure == Departure::Stop }
}

/// Reads all of it but the envelope.
pub(crate) fn read_depart(message: &v1::DepartRequest) -> Departure {
    if message.stops { Departure::Stop } else { Departure::Leave }
}

impl WireForm for Step {
    type Message = v1::Step;

    fn to_message(&self) -> v1::Step {
        v1::Step {
            peer: Some(self.peer.to_message()),
            via: self.via.map_or(v1::Via::Unspecified.into(), |via| via.to_message()),
            rtt_us: self.rtt.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
        }
    }

    fn from_message(message: v1::Step, space: Space) -> Result<Self, Malformed> {
        let unspecified = message.via == i32::from(v1::Via::Unspecified);
        Ok(Self {
            peer: required("peer", message.peer, space)?,
            via: if unspecified { None } else { Some(Via::from_message(message.via, space)?) },
            rtt: message.rtt_us.map(Duration::from_micros),
        })
    }
}

pub(crate) fn to_forward(forward: &Forward, envelope: v1::Envelope) -> v1::ForwardRequest {
    v1::ForwardRequest {
        envelope: Some(envelope),
        origin: Some(forward.origin.to_message()),
        query: forward.query.0,
        target: id_bytes(forward.target),
        path: messages(&forward.path),
        avoid: to_avoid(&forward.avoid),
    }
}

/// Reads all of it but the envelope.
pub(crate) fn read_forward(message: v1::ForwardRequest, space: Space) -> Result<Forward, Malformed> {
    if message.path.is_empty() {
        return Err(Malformed::missing("path"));
    }
    Ok(Forward {
        origin: required("origin", message.origin, space)?,
        query: QueryId(message.query),
        target: identifier("target", &message.target, space)?,
        path: list("path", message.path, HOPS_MAX, space)?,
        avoid: read_avoid(&message.avoid, space)?,
    })
}

pub(crate) fn to_found(found: &Found, envelope: v1::Envelope) -> v1::FoundRequest {
    let Found { query, located } = found;
    v1::FoundRequest {
        envelope: Some(envelope),
        query: query.0,
        target: id_bytes(located.target),
        owners: messages(&located.owners),
        holders: messages(&located.holders),
        arc: message(&located.arc),
        path: messages(&located.path),
    }
}

/// Reads all of it but the envelope.
pub(crate) fn read_found(message: v1::FoundRequest, space: Space) -> Result<Found, Malformed> {
    if message.owners.is_empty() {
        return Err(Malformed::missing("owners"));
    }
    if message.path.is_empty() {
        return Err(Malformed::missing("path"));
    }
    let located = Located {
        target: identifier("target", &message.target, space)?,
        owners: list("owners", message.owners, OWNERS_MAX, space)?,
        holders: list("holders", message.holders, OWNERS_MAX, space)?,
        // The origin is on it as well.
        path: list("path", message.path, HOPS_MAX + 1, space)?,
        arc: optional("arc", message.arc, space)?,
    };
    Ok(Found { query: QueryId(message.query), located })
}
