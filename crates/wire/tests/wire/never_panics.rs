//! No bytes make the reader panic: neither any at all, nor a good message with some of them changed.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use ring::Space;
use wire::records::*;
use wire::{CONTROL_PATH, Call, Here};

use crate::arbitrary as any;

type Overlay = overlay::Request<chord::Chord>;

const OVERLAY: [&str; 9] = [
    "/dht.v1.Membership/Hello",
    "/dht.v1.Membership/Depart",
    "/dht.v1.Membership/Forward",
    "/dht.v1.Membership/Found",
    "/dht.v1.Chord/FindSuccessor",
    "/dht.v1.Chord/GetNeighbours",
    "/dht.v1.Chord/Join",
    "/dht.v1.Chord/Notify",
    "/dht.v1.Chord/Stabilize",
];

fn read_as_everything(body: &Bytes) {
    let here = Here { cluster: "default".to_owned(), space: Space::SHA1 };
    for path in OVERLAY {
        let _ = Overlay::decode(path, body.clone(), &here);
        let _ = Overlay::decode_reply(path, body.clone(), here.space);
    }
    let _ = Vec::<replica::Request>::decode(CONTROL_PATH, body.clone(), &here);
    let _ = Vec::<replica::Request>::decode_reply("", body.clone(), here.space);
    read_record_call::<Execute>(Execute::PATH, body, &here);
    read_record_call::<Store>(Store::PATH, body, &here);
    read_record_call::<Read>(Read::PATH, body, &here);
    read_record_call::<Hint>(Hint::PATH, body, &here);
    read_record_call::<Look>(Look::PATH, body, &here);
    read_record_call::<Digest>(Digest::PATH, body, &here);
    read_record_call::<Forget>(Forget::PATH, body, &here);
    read_record_call::<List>(List::PATH, body, &here);
    read_record_call::<Fetch>(Fetch::PATH, body, &here);
    read_record_call::<Offer>(Offer::PATH, body, &here);
}

fn read_record_call<C: Call>(path: &str, body: &Bytes, here: &Here) {
    let _ = C::decode(path, body.clone(), here);
    let _ = C::decode_reply(path, body.clone(), here.space);
}

fn changed(mut body: Vec<u8>, changes: &[(prop::sample::Index, u8)]) -> Bytes {
    for (place, byte) in changes {
        if !body.is_empty() {
            let place = place.index(body.len());
            body[place] = *byte;
        }
    }
    body.into()
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in vec(any::<u8>(), 0..200)) {
        read_as_everything(&body.into());
    }

    #[test]
    fn a_changed_message_is_read_or_refused(
        envelope in any::envelope(Space::SHA1),
        caller in any::storage_envelope(Space::SHA1),
        asked in any::overlay_request(Space::SHA1),
        control in any::control_request(Space::SHA1),
        offer in any::offer(),
        digest in any::digest(Space::SHA1),
        forget in any::forget(),
        look in any::look(),
        hint in any::hint(Space::SHA1),
        seen in any::look_reply(Space::SHA1),
        changes in vec(any::<(prop::sample::Index, u8)>(), 1..4),
    ) {
        read_as_everything(&changed(asked.encode("default", &envelope), &changes));
        read_as_everything(&changed(control.encode("default", &caller), &changes));
        read_as_everything(&changed(offer.encode("default", &caller), &changes));
        read_as_everything(&changed(digest.encode("default", &caller), &changes));
        read_as_everything(&changed(forget.encode("default", &caller), &changes));
        read_as_everything(&changed(look.encode("default", &caller), &changes));
        read_as_everything(&changed(hint.encode("default", &caller), &changes));
        let seen = Look::encode_reply(Look::PATH, &Ok(seen)).unwrap();
        read_as_everything(&changed(seen, &changes));
    }
}
