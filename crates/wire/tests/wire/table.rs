//! `dht table`, in its wire form.

use std::time::Duration;

use chord::{Chord, Finger, Table};
use overlay::Peer;
use ring::Space;
use wire::{TableReader, WireProtocol, v1};

const SPACE_BITS: u32 = 7;

fn space() -> Space {
    Space::new(SPACE_BITS).unwrap()
}

fn peer(number: u64) -> Peer {
    Peer {
        id: space().id(number).unwrap(),
        addr: wire::read_addr(&format!("127.0.0.1:{}", 7000 + number)).unwrap(),
        incarnation: 1,
    }
}

fn table() -> Table {
    Table {
        predecessor: Some(peer(9)),
        successors: vec![peer(20), peer(30)],
        fingers: vec![
            Finger { start: space().id(17).unwrap(), node: Some(peer(20)) },
            Finger { start: space().id(18).unwrap(), node: None },
        ],
    }
}

/// Only 20 was ever measured.
fn shown() -> v1::table_response::Table {
    Chord::table(&table(), &|asked: &Peer| (*asked == peer(20)).then(|| Duration::from_micros(350)))
}

/// The same table after `spoil` had its way with it.
fn spoiled(spoil: impl FnOnce(&mut v1::ChordTable)) -> String {
    let mut shown = shown();
    if let v1::table_response::Table::Chord(table) = &mut shown {
        spoil(table);
    }
    Chord::read_table(shown, &mut TableReader::new(space())).unwrap_err().to_string()
}

#[test]
fn a_chord_table_is_read_as_it_was_shown_with_the_round_trips_that_are_known() {
    let mut reader = TableReader::new(space());
    assert_eq!(Chord::read_table(shown(), &mut reader), Ok(table()));
    assert_eq!(reader.rtt(peer(20).id), Some(Duration::from_micros(350)));
    assert_eq!(reader.rtt(peer(30).id), None);
}

#[test]
fn what_is_wrong_in_a_table_is_named() {
    let wide = spoiled(|table| table.fingers[1].start = vec![0x80].into());
    assert!(wide.starts_with("fingers[1].start is not an identifier here"), "{wide}");
    let nobody = spoiled(|table| table.successors[1].peer = None);
    assert_eq!(nobody, "successors[1].peer is missing");
    let nowhere = spoiled(|table| table.predecessor.as_mut().unwrap().peer.as_mut().unwrap().addr.clear());
    assert!(nowhere.starts_with("predecessor.peer.addr is"), "{nowhere}");
    let endless = spoiled(|table| table.fingers = vec![table.fingers[0].clone(); 161]);
    assert_eq!(endless, "fingers has 161 entries, the limit is 160");
}
