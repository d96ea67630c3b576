//! Values that say themselves whose they are, so that one that is torn, or another key's, is known as such.
//!
//! A line of text with key, client, number and length; filler; and sixteen digits that sum all of it up.

use super::WriteId;

/// Digits of the sum at the end.
const SUM: usize = 16;
/// The first line is never longer.
const LINE_MAX: usize = 128;

/// What a key is called.
#[must_use]
pub fn key_name(key: u32) -> String {
    format!("key-{key:06}")
}

/// The value that a client puts, `length` bytes long or as long as it has to be.
#[must_use]
pub fn value_of(key: u32, id: WriteId, length: usize) -> Vec<u8> {
    let WriteId { client, number } = id;
    let line = |length: usize| format!("{} client {client} number {number} length {length:08}\n", key_name(key));
    let length = length.max(line(0).len() + SUM);
    let mut value = line(length).into_bytes();
    let mut state = sum(&value) | 1;
    while value.len() < length - SUM {
        // Xorshift (Marsaglia 2003): no two values have a filler in common.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let room = length - SUM - value.len();
        value.extend(state.to_le_bytes().into_iter().take(room));
    }
    let digits = format!("{:0SUM$x}", sum(&value));
    value.extend(digits.into_bytes());
    value
}

/// Whose value this is that was read at `key`.
///
/// # Errors
/// With what is wrong, if nobody can have put it there.
pub fn read_value(key: u32, value: &[u8]) -> Result<WriteId, String> {
    let head = &value[..value.len().min(LINE_MAX)];
    let end = head.iter().position(|byte| *byte == b'\n').ok_or("its first line has no end")?;
    let line = String::from_utf8_lossy(&head[..end]).into_owned();
    let words: Vec<&str> = line.split(' ').collect();
    let [name, "client", client, "number", number, "length", length] = words.as_slice() else {
        return Err(format!("its first line is {line:?}"));
    };
    let parsed = |word: &str| word.parse::<u32>().map_err(|_| format!("its first line is {line:?}"));
    let (client, number, length) = (parsed(client)?, parsed(number)?, parsed(length)?);
    if value.len() != length as usize {
        return Err(format!("it is {} bytes long and says {length}", value.len()));
    }
    let (body, digits) = value.split_at_checked(value.len().wrapping_sub(SUM)).ok_or("it is too short")?;
    if format!("{:0SUM$x}", sum(body)).as_bytes() != digits {
        return Err(format!("its sum is wrong; it says {line:?}"));
    }
    if *name != key_name(key) {
        return Err(format!("it is the value of another key, {name}"));
    }
    Ok(WriteId { client, number })
}

/// FNV-1a over words of eight bytes: enough for what tears, and quick.
fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0xcbf2_9ce4_8422_2325, |sum, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: WriteId = WriteId { client: 3, number: 70_000 };

    #[test]
    fn a_value_says_whose_it_is() {
        for length in [0, 100, 101, 65_536] {
            let value = value_of(17, ID, length);
            assert!(value.len() == length || length == 0);
            assert_eq!(read_value(17, &value), Ok(ID));
        }
        assert_ne!(value_of(17, ID, 200), value_of(17, WriteId { number: 70_001, ..ID }, 200));
    }

    #[test]
    fn a_value_that_nobody_put_there_is_known_as_such() {
        let value = value_of(17, ID, 300);
        let changed = |at: usize| {
            let mut value = value.clone();
            value[at] ^= 1;
            value
        };
        let torn = [value[..299].to_vec(), [&value[..], b"x"].concat(), Vec::new(), b"\n".to_vec(), b"text".to_vec()];
        for wrong in torn.into_iter().chain([60, 150, 299].map(changed)) {
            assert!(read_value(17, &wrong).is_err(), "{:?}", String::from_utf8_lossy(&wrong));
        }
        let other = value_of(18, ID, 300);
        assert!([&value[..150], &other[150..]].concat() != value);
        assert!(read_value(17, &[&value[..150], &other[150..]].concat()).is_err());
        assert_eq!(read_value(17, &other), Err("it is the value of another key, key-000018".to_owned()));
    }
}
