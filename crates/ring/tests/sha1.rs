//! SHA-1 against published vectors: FIPS 180 and NIST's examples.

use ring::Space;

#[test]
fn hashes_are_those_that_fips_180_publishes() {
    let long = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    assert_eq!(long.len() * 8, 448);
    let vectors: [(&[u8], &str); 4] = [
        (b"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        (b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (long, "84983e441c3bd26ebaae4aa1f95129e5e54670f1"),
        (&[b'a'; 1_000_000], "34aa973cd4c4daa4f61eeb2bdbad27316534016f"),
    ];
    for (message, digest) in vectors {
        assert_eq!(Space::SHA1.hash(message).to_string(), digest);
    }
}

#[test]
fn a_hash_is_cut_to_its_leading_bits() {
    // a9993e36… is 1010 1001 1001 1001 0011 …
    let hashed = |bits| Space::new(bits).unwrap().hash(b"abc").to_string();
    assert_eq!(hashed(3), "5");
    assert_eq!(hashed(7), "54");
    assert_eq!(hashed(8), "a9");
    assert_eq!(hashed(9), "153");
    assert_eq!(hashed(128), "a9993e364706816aba3e25717850c26c");
    assert_eq!(hashed(159), "54cc9f1b238340b55d1f12b8bc2861364e686c4e");
}
