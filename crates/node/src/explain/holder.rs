//! One holder of a key, and what it says it has.

use overlay::Failure;
use replica::Member;
use store::Version;
use wire::records::{Held, LookReply, Part};
use wire::{WireForm, v1};

/// What a holder is in the set, whatever it takes itself for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Primary,
    Member,
    Newcomer,
}

/// How a copy is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Present,
    Deleted,
    Expired,
    Absent,
    Unreachable,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            State::Present => "present",
            State::Deleted => "deleted",
            State::Expired => "expired",
            State::Absent => "absent",
            State::Unreachable => "unreachable",
        }
    }
}

pub(super) fn has_expired(held: &Held, now_ms: u64) -> bool {
    !held.tombstone && held.expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms <= now_ms)
}

/// One holder, and what it says.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) member: Member,
    pub(super) role: Role,
    pub(super) said: Result<LookReply, Failure>,
}

impl Holder {
    /// The node has another store now, which the set does not count on.
    pub(super) fn is_renewed(&self) -> bool {
        self.said.as_ref().is_ok_and(|reply| reply.store != self.member.store)
    }

    /// It takes no writes: its disk failed.
    pub(super) fn is_read_only(&self) -> bool {
        self.said.as_ref().is_ok_and(|reply| reply.read_only)
    }

    pub(super) fn held(&self) -> Option<Held> {
        self.said.as_ref().ok().filter(|_| !self.is_renewed()).and_then(|reply| reply.held)
    }

    pub(super) fn version(&self) -> Option<Version> {
        self.held().map(|held| held.version)
    }

    fn state(&self, now_ms: u64) -> State {
        match self.held() {
            _ if self.said.is_err() => State::Unreachable,
            None => State::Absent,
            Some(held) if held.tombstone => State::Deleted,
            Some(held) if has_expired(&held, now_ms) => State::Expired,
            Some(_) => State::Present,
        }
    }

    pub(super) fn copy(&self, now_ms: u64) -> v1::Copy {
        let role = match self.role {
            Role::Primary => Part::Primary,
            Role::Member => Part::Member,
            Role::Newcomer => Part::Newcomer,
        };
        let error = match &self.said {
            Err(failure) => failure.to_string(),
            Ok(_) if self.is_renewed() => "it came back with another store".to_owned(),
            Ok(_) => String::new(),
        };
        v1::Copy {
            holder: Some(self.member.peer.to_message()),
            role: role.as_str().to_owned(),
            state: self.state(now_ms).as_str().to_owned(),
            version: self.version().map(|version| version.to_message()),
            age_ms: self.version().map_or(0, |version| now_ms.saturating_sub(version.wall_ms())),
            durable: self.held().is_some() && self.said.as_ref().is_ok_and(|reply| reply.durable),
            error,
            read_only: self.is_read_only(),
        }
    }

    pub(super) fn addr(&self) -> &str {
        self.member.peer.addr.as_str()
    }
}

#[cfg(test)]
pub(super) mod fixtures {
    use overlay::{Addr, Peer};
    use ring::Space;

    use super::*;

    pub(in crate::explain) const NOW_MS: u64 = 1_700_000_000_000;

    pub(in crate::explain) fn member(number: u16) -> Member {
        let (id, addr) = (Space::SHA1.hash(&number.to_be_bytes()), Addr::new(&format!("a:{number}")).unwrap());
        Member { peer: Peer { id, addr, incarnation: 1 }, store: u64::from(number) }
    }

    /// A version that was given so long ago.
    pub(in crate::explain) fn version(age_ms: u64) -> Version {
        Version::at(NOW_MS - age_ms, 0, 7)
    }

    pub(in crate::explain) fn held(age_ms: u64) -> Option<Held> {
        Some(Held { version: version(age_ms), tombstone: false, expires_at_ms: None })
    }

    pub(in crate::explain) fn deleted(age_ms: u64) -> Option<Held> {
        held(age_ms).map(|held| Held { tombstone: true, ..held })
    }

    pub(in crate::explain) fn expiring(age_ms: u64, expires_at_ms: u64) -> Option<Held> {
        held(age_ms).map(|held| Held { expires_at_ms: Some(expires_at_ms), ..held })
    }

    pub(in crate::explain) fn holder(number: u16, role: Role, held: Option<Held>) -> Holder {
        let member = member(number);
        let said = Ok(LookReply { sight: None, held, durable: true, store: member.store, read_only: false });
        Holder { member, role, said }
    }
}

#[cfg(test)]
mod tests {
    use overlay::Refusal;

    use super::fixtures::*;
    use super::*;

    #[test]
    fn a_copy_is_in_one_of_five_states() {
        let state = |held| holder(1, Role::Member, held).state(NOW_MS);
        assert_eq!(state(held(5)), State::Present);
        assert_eq!(state(expiring(5, NOW_MS + 1)), State::Present);
        assert_eq!(state(expiring(5, NOW_MS)), State::Expired);
        assert_eq!(state(deleted(5)), State::Deleted);
        assert_eq!(state(None), State::Absent);
        let refused = Holder { said: Err(Failure::Refused(Refusal::Gone)), ..holder(1, Role::Member, held(5)) };
        assert_eq!(refused.state(NOW_MS), State::Unreachable);
    }

    #[test]
    fn a_copy_tells_its_version_its_age_and_why_it_is_not_there() {
        let copy = holder(1, Role::Primary, held(61_500)).copy(NOW_MS);
        assert_eq!((copy.role.as_str(), copy.state.as_str(), copy.age_ms), ("primary", "present", 61_500));
        assert_eq!((copy.version, copy.durable), (Some(version(61_500).to_message()), true));
        assert_eq!(copy.error, "");

        let ahead = Held { version: Version::at(NOW_MS + 9, 0, 7), tombstone: false, expires_at_ms: None };
        assert_eq!(holder(1, Role::Member, Some(ahead)).copy(NOW_MS).age_ms, 0, "given by a clock that is ahead");

        let copy = holder(1, Role::Newcomer, None).copy(NOW_MS);
        assert_eq!((copy.role.as_str(), copy.state.as_str(), copy.durable), ("newcomer", "absent", false));

        let silent = Holder { said: Err(Failure::TimedOut), ..holder(1, Role::Member, None) };
        assert_eq!(silent.copy(NOW_MS).error, "no answer in time");

        let mut read_only = holder(1, Role::Member, held(5));
        assert!(!read_only.copy(NOW_MS).read_only);
        read_only.said.as_mut().unwrap().read_only = true;
        assert!(read_only.copy(NOW_MS).read_only);

        let mut renewed = holder(1, Role::Member, held(5));
        renewed.member.store += 1;
        let copy = renewed.copy(NOW_MS);
        assert_eq!((copy.state.as_str(), copy.version), ("absent", None), "that copy is another member's");
        assert_eq!(copy.error, "it came back with another store");
    }
}
