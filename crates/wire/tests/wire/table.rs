//! `dht table`, in its wire form.

use std::time::Duration;

use chord::{Chord, Finger, Table};
use overlay::Peer;
use ring::Space;
use wire::{WireProtocol, v1};

#[test]
fn a_chord_table_shows_every_finger_and_the_round_trips_that_are_known() {
    let space = Space::new(7).unwrap();
    let peer = |number: u64| Peer {
        id: space.id(number).unwrap(),
        addr: wire::read_addr(&format!("127.0.0.1:{}", 7000 + number)).unwrap(),
        incarnation: 1,
    };
    let table = Table {
        predecessor: Some(peer(9)),
        successors: vec![peer(20), peer(30)],
        fingers: vec![
            Finger { start: space.id(17).unwrap(), node: Some(peer(20)) },
            Finger { start: space.id(18).unwrap(), node: None },
        ],
    };
    let rtt = |asked: &Peer| (*asked == peer(20)).then(|| Duration::from_micros(350));

    let v1::table_response::Table::Chord(shown) = Chord::table(&table, &rtt);
    assert_eq!(shown.predecessor.unwrap().peer.unwrap().addr, "127.0.0.1:7009");
    assert_eq!(shown.successors.iter().map(|peer| peer.rtt_us).collect::<Vec<_>>(), [Some(350), None]);
    assert_eq!(shown.fingers.len(), 2);
    assert_eq!(&shown.fingers[1].start[..], [18]);
    assert!(shown.fingers[1].node.is_none());
}
