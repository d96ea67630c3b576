//! Identifiers against plain big integers, at widths around every limb and byte boundary.

use num_bigint::BigUint;
use proptest::prelude::*;
use ring::{Id, IdError, Space, between};

const WIDTHS: [u32; 14] = [3, 4, 7, 8, 9, 31, 64, 65, 127, 128, 129, 136, 159, 160];

fn big(id: Id) -> BigUint {
    BigUint::from_bytes_be(&id.to_array())
}

fn modulus(space: Space) -> BigUint {
    BigUint::from(1u8) << space.bits()
}

fn from_big(space: Space, number: &BigUint) -> Id {
    space.parse(&number.to_str_radix(16)).expect("a number of the space")
}

/// Identifiers with the ends of the circle and equal pairs more often than by chance.
fn ids(count: usize) -> impl Strategy<Value = (Space, Vec<Id>)> {
    let number = prop_oneof![
        4 => any::<[u8; 20]>(),
        1 => (0u8..4).prop_map(|low| { let mut bytes = [0; 20]; bytes[19] = low; bytes }),
        1 => (0u8..4).prop_map(|low| { let mut bytes = [0xff; 20]; bytes[19] -= low; bytes }),
    ];
    let numbers = prop::collection::vec((number, any::<bool>(), 0..count), count);
    (prop::sample::select(&WIDTHS[..]), numbers).prop_map(|(bits, numbers)| {
        let space = Space::new(bits).expect("a width that is allowed");
        let cut = |bytes: [u8; 20]| {
            let number = BigUint::from_bytes_be(&bytes) % modulus(space);
            from_big(space, &number)
        };
        let plain: Vec<Id> = numbers.iter().map(|(bytes, ..)| cut(*bytes)).collect();
        let repeated = |(at, (_, again, of)): (usize, &([u8; 20], bool, usize))| plain[if *again { *of } else { at }];
        (space, numbers.iter().enumerate().map(repeated).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn sums_and_differences_are_those_of_integers_modulo_2_to_the_m((space, ids) in ids(2)) {
        let (a, b, m) = (ids[0], ids[1], modulus(space));
        prop_assert_eq!(big(a.plus(b)), (big(a) + big(b)) % &m);
        prop_assert_eq!(big(a.minus(b)), (big(a) + &m - big(b)) % &m);
        prop_assert_eq!(big(a.distance_to(b)), (big(b) + &m - big(a)) % &m);
        prop_assert_eq!(a.plus(b).minus(b), a);
        prop_assert_eq!(a.plus(a.distance_to(b)), b);
    }

    #[test]
    fn powers_of_two_are_added((space, ids) in ids(1), exponent in 0u32..160) {
        let exponent = exponent % space.bits();
        let sum = (big(ids[0]) + (BigUint::from(1u8) << exponent)) % modulus(space);
        prop_assert_eq!(big(ids[0].plus_power(exponent)), sum);
    }

    #[test]
    fn order_logarithm_and_fraction_are_those_of_the_number((space, ids) in ids(2)) {
        let (a, b) = (ids[0], ids[1]);
        prop_assert_eq!(a.cmp(&b), big(a).cmp(&big(b)));
        prop_assert_eq!(a.log2().map(u64::from), big(a).bits().checked_sub(1));
        let unit = 53u32.min(space.bits());
        let leading = big(a) >> (space.bits() - unit);
        let fraction = u64::try_from(leading).unwrap() as f64 / 2f64.powi(unit as i32);
        prop_assert!((a.fraction() - fraction).abs() < 1e-12);
    }

    #[test]
    fn digits_and_bytes_come_back((space, ids) in ids(1)) {
        let id = ids[0];
        let text = id.to_string();
        prop_assert_eq!(text.len(), (space.bits() as usize).div_ceil(4));
        prop_assert_eq!(space.parse(&text), Ok(id));
        prop_assert_eq!(space.parse(&text.to_uppercase()), Ok(id));
        prop_assert_eq!(space.parse(text.trim_start_matches('0')).ok().or(Some(space.zero())), Some(id));
        prop_assert_eq!(space.parse(&format!("000{text}")), Ok(id));
        let bytes = id.to_bytes();
        prop_assert_eq!(bytes.len(), space.byte_len());
        prop_assert_eq!(space.from_bytes(&bytes), Ok(id));
        prop_assert_eq!(BigUint::from_bytes_be(&bytes), big(id));
        prop_assert_eq!(id.space(), space);
    }

    #[test]
    fn truncation_keeps_the_leading_bits(bytes in any::<[u8; 20]>()) {
        for bits in 3..=160 {
            let space = Space::new(bits).unwrap();
            prop_assert_eq!(big(space.truncate(bytes)), BigUint::from_bytes_be(&bytes) >> (160 - bits));
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused((space, ids) in ids(1), bytes in any::<[u8; 20]>()) {
        let over = big(ids[0]) + modulus(space);
        let text = over.to_str_radix(16);
        prop_assert_eq!(space.parse(&text), Err(IdError::TooLarge { text: text.clone(), bits: space.bits() as u8 }));
        let wire = &bytes[..space.byte_len()];
        let fits = BigUint::from_bytes_be(wire) < modulus(space);
        prop_assert_eq!(space.from_bytes(wire).is_ok(), fits);
    }

    #[test]
    fn text_of_any_kind_is_parsed_or_refused(text in "\\PC{0,50}") {
        for bits in WIDTHS {
            let space = Space::new(bits).unwrap();
            if let Ok(id) = space.parse(&text) {
                prop_assert_eq!(BigUint::parse_bytes(text.as_bytes(), 16), Some(big(id)));
            }
        }
    }

    #[test]
    fn between_walks_clockwise((space, ids) in ids(3)) {
        let (x, y, z, m) = (ids[0], ids[1], ids[2], modulus(space));
        let ahead = |to: Id| (big(to) + &m - big(x)) % &m;
        let expected = y != x && (x == z || ahead(y) < ahead(z));
        prop_assert_eq!(between(x, y, z), expected);
        prop_assert_eq!(between(x, y, x), y != x);
        prop_assert!(!between(x, x, y));
        prop_assert!(!between(y, x, x));
    }
}

#[test]
fn widths_outside_of_3_to_160_are_refused() {
    for bits in [0, 1, 2, 161, 256, 259, u32::MAX] {
        assert_eq!(Space::new(bits), Err(IdError::Bits(bits)));
    }
    for bits in 3..=160 {
        assert_eq!(Space::new(bits).unwrap().bits(), bits);
    }
}

#[test]
fn malformed_identifiers_are_refused_by_name() {
    let space = Space::new(12).unwrap();
    assert_eq!(space.parse(""), Err(IdError::NotHex(String::new())));
    assert_eq!(space.parse("0x12"), Err(IdError::NotHex("0x12".to_owned())));
    assert_eq!(space.parse("-1"), Err(IdError::NotHex("-1".to_owned())));
    assert_eq!(space.parse("é"), Err(IdError::NotHex("é".to_owned())));
    assert_eq!(space.parse("1000"), Err(IdError::TooLarge { text: "1000".to_owned(), bits: 12 }));
    let long = "1".repeat(41);
    assert_eq!(Space::SHA1.parse(&long), Err(IdError::TooLarge { text: long.clone(), bits: 160 }));
    assert_eq!(Space::SHA1.parse(&format!("00{}", &long[1..])).unwrap().to_string(), long[1..]);
    assert_eq!(space.from_bytes(&[1]), Err(IdError::Length { bits: 12, expected: 2, found: 1 }));
    assert_eq!(space.from_bytes(&[0, 1, 2]), Err(IdError::Length { bits: 12, expected: 2, found: 3 }));
    assert_eq!(space.from_bytes(&[0x10, 0]), Err(IdError::TooLarge { text: "1000".to_owned(), bits: 12 }));
    assert_eq!(space.from_bytes(&[0x0f, 0xff]), Ok(space.max()));
    assert_eq!(Space::new(3).unwrap().id(8), Err(IdError::TooLarge { text: "8".to_owned(), bits: 3 }));
}

#[test]
fn a_number_of_64_bits_fits_from_64_bits_on() {
    for bits in WIDTHS {
        let space = Space::new(bits).unwrap();
        assert_eq!(space.id(u64::MAX).is_ok(), bits >= 64, "{bits} bits");
        assert_eq!(big(space.max()), modulus(space) - 1u8, "{bits} bits");
        assert_eq!(space.max().plus_power(0), space.zero(), "{bits} bits");
    }
}

#[test]
fn digits_are_read_from_the_left() {
    let space = Space::new(24).unwrap();
    let id = space.parse("d46a1c").unwrap();
    let digits: Vec<u32> = (0..6).map(|place| id.digit(place, 4)).collect();
    assert_eq!(digits, [0xd, 4, 6, 0xa, 1, 0xc]);
    assert_eq!((id.digit(0, 8), id.digit(2, 8)), (0xd4, 0x1c));
    assert_eq!(id.shared_digits(space.parse("d467c4").unwrap(), 4), 3);
    assert_eq!(id.shared_digits(space.parse("65a1fc").unwrap(), 4), 0);
    assert_eq!(id.shared_digits(id, 4), 6);
}

#[test]
fn a_last_digit_that_is_cut_short_is_filled_with_zeros() {
    let id = Space::new(7).unwrap().id(0b101_1011).unwrap();
    assert_eq!((id.digit(0, 4), id.digit(1, 4)), (0b1011, 0b0110));
    assert_eq!(id.shared_digits(id, 4), 2);
}

#[test]
fn the_gap_is_the_shorter_way_round() {
    let id = |number| Space::new(7).unwrap().id(number).unwrap();
    assert_eq!((id(120).gap(id(5)), id(5).gap(id(120)), id(9).gap(id(9))), (id(13), id(13), id(0)));
}

#[test]
fn leading_bits_number_equal_parts_of_the_circle_in_order() {
    for bits in [3, 6, 7, 8, 13, 64, 127, 128, 130, 160] {
        let space = Space::new(bits).expect("a width");
        let mut ids: Vec<Id> = (0..1_000u32).map(|key| space.hash(&key.to_be_bytes())).collect();
        ids.extend([space.zero(), space.max()]);
        ids.sort();
        let parts: Vec<usize> = ids.iter().map(|id| id.leading_bits(6)).collect();
        assert!(parts.is_sorted(), "{bits} bits");
        assert_eq!(parts.first(), Some(&0));
        assert_eq!(parts.last(), Some(&((1 << bits.min(6)) - 1)));
    }
}
