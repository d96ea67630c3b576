//! Domain to wire to domain is the identity, for every request and every reply, in every space.

use std::fmt::Debug;

use overlay::Refusal;
use proptest::prelude::*;
use ring::Space;
use wire::records::*;
use wire::{Call, Here};

use crate::arbitrary::{self as any, space};

fn here(space: Space) -> Here {
    Here { cluster: "default".to_owned(), space }
}

/// Compared as text: protocols are not comparable, so requests over them are not either.
fn same(left: impl Debug, right: impl Debug) -> Result<(), TestCaseError> {
    prop_assert_eq!(format!("{left:?}"), format!("{right:?}"));
    Ok(())
}

fn request_returns<C: Call<Envelope: Debug> + Debug>(
    space: Space,
    envelope: C::Envelope,
    call: C,
) -> Result<(), TestCaseError> {
    let body = call.encode("default", &envelope).into();
    let read = C::decode(call.path(), body, &here(space));
    same(read, Ok::<_, ()>((envelope, call)))
}

fn reply_returns<C: Call<Reply: Debug>>(
    space: Space,
    path: &str,
    reply: Result<C::Reply, Refusal>,
) -> Result<(), TestCaseError> {
    let body = C::encode_reply(path, &reply).expect("a reply to this request").into();
    same(C::decode_reply(path, body, space), Ok::<_, ()>(reply))
}

/// `space`, with a value that is made for it.
macro_rules! with_space {
    ($($strategy:expr),*) => {
        space().prop_flat_map(|space| (Just(space), $($strategy(space)),*))
    };
}

proptest! {
    #[test]
    fn what_an_overlay_asks_arrives_as_it_was((space, envelope, call) in with_space!(any::envelope, any::overlay_request)) {
        request_returns(space, envelope, call)?;
    }

    #[test]
    fn what_an_overlay_answers_arrives_as_it_was(
        (space, (path, reply), refusal) in with_space!(any::overlay_response, any::refusal)
    ) {
        reply_returns::<overlay::Request<chord::Chord>>(space, path, Ok(reply))?;
        reply_returns::<overlay::Request<chord::Chord>>(space, path, Err(refusal))?;
    }

    #[test]
    fn what_is_asked_about_sets_arrives_as_it_was(
        (space, envelope, call) in with_space!(any::storage_envelope, any::control_request)
    ) {
        request_returns(space, envelope, call)?;
    }

    #[test]
    fn what_is_answered_about_sets_arrives_as_it_was(
        (space, reply, refusal) in with_space!(any::control_response, any::refusal)
    ) {
        reply_returns::<Vec<replica::Request>>(space, "", Ok(reply))?;
        reply_returns::<Vec<replica::Request>>(space, "", Err(refusal))?;
    }

    #[test]
    fn an_operation_and_its_outcome_arrive_as_they_were(
        (space, envelope, reply) in with_space!(any::storage_envelope, any::outcome), call in any::execute()
    ) {
        request_returns(space, envelope, call)?;
        reply_returns::<Execute>(space, Execute::PATH, Ok(reply))?;
    }

    #[test]
    fn a_copy_and_its_answer_arrive_as_they_were(
        (space, envelope, reply) in with_space!(any::storage_envelope, any::store_reply), call in any::store()
    ) {
        request_returns(space, envelope, call)?;
        reply_returns::<Store>(space, Store::PATH, Ok(reply))?;
    }

    #[test]
    fn a_read_and_its_answer_arrive_as_they_were(
        (space, envelope, reply) in with_space!(any::storage_envelope, any::read_reply), call in any::read()
    ) {
        request_returns(space, envelope, call)?;
        reply_returns::<Read>(space, Read::PATH, Ok(reply))?;
    }

    #[test]
    fn hints_arrive_as_they_were(
        (space, envelope, call) in with_space!(any::storage_envelope, any::hint), kept in proptest::bool::ANY
    ) {
        request_returns(space, envelope, call)?;
        reply_returns::<Hint>(space, Hint::PATH, Ok(kept))?;
    }

    #[test]
    fn a_look_and_what_is_seen_arrive_as_they_were(
        (space, envelope, reply) in with_space!(any::storage_envelope, any::look_reply), call in any::look()
    ) {
        request_returns(space, envelope, call)?;
        reply_returns::<Look>(space, Look::PATH, Ok(reply))?;
    }

    #[test]
    fn digests_arrive_as_they_were(
        (space, envelope, call, reply) in with_space!(any::storage_envelope, any::digest, any::digest_reply)
    ) {
        request_returns(space, envelope, call)?;
        reply_returns::<Digest>(space, Digest::PATH, Ok(reply))?;
    }

    #[test]
    fn deletions_to_forget_and_the_answer_arrive_as_they_were(
        (space, envelope, reply) in with_space!(any::storage_envelope, any::forget_reply), call in any::forget()
    ) {
        request_returns(space, envelope, call)?;
        reply_returns::<Forget>(space, Forget::PATH, Ok(reply))?;
    }

    #[test]
    fn a_listing_arrives_as_it_was(
        (space, envelope, call, reply) in with_space!(any::storage_envelope, any::list, any::list_reply)
    ) {
        request_returns(space, envelope, call)?;
        reply_returns::<List>(space, List::PATH, Ok(reply))?;
    }

    #[test]
    fn fetched_records_arrive_as_they_were(
        (space, envelope, call, reply) in with_space!(any::storage_envelope, any::fetch, any::fetch_reply)
    ) {
        request_returns(space, envelope, call)?;
        reply_returns::<Fetch>(space, Fetch::PATH, Ok(reply))?;
    }

    #[test]
    fn an_offer_and_its_answer_arrive_as_they_were(
        (space, envelope, reply) in with_space!(any::storage_envelope, any::offer_reply), call in any::offer()
    ) {
        request_returns(space, envelope, call)?;
        reply_returns::<Offer>(space, Offer::PATH, Ok(reply))?;
    }

    #[test]
    fn every_refusal_of_a_record_call_arrives_as_it_was((space, refusal) in with_space!(any::refusal)) {
        reply_returns::<Execute>(space, Execute::PATH, Err(refusal.clone()))?;
        reply_returns::<Store>(space, Store::PATH, Err(refusal.clone()))?;
        reply_returns::<Read>(space, Read::PATH, Err(refusal.clone()))?;
        reply_returns::<Look>(space, Look::PATH, Err(refusal.clone()))?;
        reply_returns::<Digest>(space, Digest::PATH, Err(refusal.clone()))?;
        reply_returns::<Forget>(space, Forget::PATH, Err(refusal.clone()))?;
        reply_returns::<List>(space, List::PATH, Err(refusal.clone()))?;
        reply_returns::<Fetch>(space, Fetch::PATH, Err(refusal.clone()))?;
        reply_returns::<Offer>(space, Offer::PATH, Err(refusal))?;
    }
}

#[test]
fn a_reply_to_another_request_is_not_sent() {
    type Overlay = overlay::Request<chord::Chord>;
    let noted = Ok(overlay::Response::Protocol(chord::Response::Noted));
    assert!(Overlay::encode_reply("/dht.v1.Chord/Notify", &noted).is_some());
    assert!(Overlay::encode_reply("/dht.v1.Chord/Join", &noted).is_none());
    assert!(Overlay::encode_reply("/dht.v1.Membership/Hello", &noted).is_none());
    assert!(Overlay::encode_reply("/dht.v1.Chord/Notify", &Ok(overlay::Response::Departed)).is_none());
    assert!(Overlay::encode_reply("/dht.v1.Chord/Notify", &Ok(overlay::Response::Noted)).is_none());
    assert!(Overlay::encode_reply("/dht.v1.Membership/Forward", &Ok(overlay::Response::Noted)).is_none());
    assert!(Overlay::encode_reply("/dht.v1.Membership/Found", &Ok(overlay::Response::Forwarded)).is_none());
}
