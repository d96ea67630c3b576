//! What tells two machines apart, read off their `Debug` text.
//!
//! Two machines count as the same when no later input can make a difference between them. So these are left out: the
//! generator of random numbers, since it only stretches pauses, none of which reaches beyond one step of the clock;
//! counters that only number things; and what is derived from the rest. Of a time only its order with the present is
//! kept, since a step of the clock is longer than every period that the machine measures.

/// Fields whose value is left out.
const LEFT_OUT: [&str; 10] =
    ["rng", "last_call", "last", "changes", "flushed", "wake", "looked", "wall_ms", "persisted", "published"];
/// Numbers that only name something.
const NAMES: [&str; 2] = ["CallId", "JobId"];

/// The text without what makes no difference, `now` being the present, and without these fields.
pub(crate) fn canonical(text: &str, now: u64, without: &[&str]) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        out.push_str(word);
        if (LEFT_OUT.contains(&word) || without.contains(&word)) && rest.starts_with(": ") {
            rest = &rest[value_length(&rest[2..]) + 2..];
        } else if NAMES.contains(&word) && rest.starts_with('(') {
            rest = &rest[rest.find(')').unwrap()..];
        } else if word == "Time" && rest.starts_with('(') {
            let close = rest.find(')').unwrap();
            let time: u64 = rest[1..close].parse().unwrap();
            out.push(match time.cmp(&now) {
                std::cmp::Ordering::Less => '<',
                std::cmp::Ordering::Equal => '=',
                std::cmp::Ordering::Greater => '>',
            });
            rest = &rest[close..];
        }
    }
    out.push_str(rest);
    out
}

/// How long the value is that the text begins with: up to the comma or bracket that ends it.
fn value_length(text: &str) -> usize {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => return at,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn times_keep_their_order_with_the_present_and_names_are_left_out() {
    let text = "Control { rng: Pcg32 { state: [1, 2] }, since: Time(5), due: Some(Time(9)), call: CallId(3), last: 4 }";
    let expected = "Control { rng, since: Time=), due: Some(Time>)), call: CallId), last}";
    assert_eq!(canonical(text, 5, &[]), expected);
}
