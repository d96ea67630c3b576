//! Settings that are neither a plain number nor a plain duration.

use std::time::Duration;

use replica::Need;

use super::{Advertise, DAY, is_unspecified};
use crate::exit::Fatal;
use crate::settings::{Given, Span};

/// Longest cluster name in bytes: it travels with every call.
const CLUSTER_NAME_MAX: usize = 64;
/// Largest value that a message can be configured to carry.
const VALUE_LIMIT_MAX: usize = 64 << 20;
const HOST_PORT: &str = "HOST:PORT, such as 127.0.0.1:7160 or [::1]:7160";
/// A shorter patience than this is none: every pause of the network would make survivors of whoever is cut off.
const LOST_MAJORITY_MIN: Duration = Duration::from_secs(1);
const LOST_MAJORITY_DEFAULT: Duration = Duration::from_secs(5);

/// `HOST:PORT`, with a host; the host is resolved when it is used.
pub(super) fn host_port(given: &Given, key: &str) -> Result<Option<String>, Fatal> {
    given.text(key, HOST_PORT, |text| is_host_port(text).then(|| text.to_owned()))
}

fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    !host.is_empty() && port.parse::<u16>().is_ok() && (!host.contains(':') || host.starts_with('['))
}

pub(super) fn http(given: &Given) -> Result<Option<String>, Fatal> {
    let http = given.text("http", format_args!("off, or {HOST_PORT}"), |text| match text {
        "off" => Some(None),
        addr => is_host_port(addr).then(|| Some(addr.to_owned())),
    })?;
    Ok(http.unwrap_or_else(|| Some("127.0.0.1:7161".to_owned())))
}

pub(super) fn advertise(given: &Given) -> Result<Advertise, Fatal> {
    let expected = format!("auto, or {HOST_PORT}, which the other nodes reach");
    let advertise = given.text("advertise", expected, |text| match text {
        "auto" => Some(Advertise::Auto),
        addr => (is_host_port(addr) && !is_unspecified(addr)).then(|| Advertise::Fixed(addr.to_owned())),
    })?;
    Ok(advertise.unwrap_or(Advertise::Bound))
}

/// Each seed once.
pub(super) fn join(given: &Given) -> Result<Vec<String>, Fatal> {
    let mut seeds = Vec::new();
    for seed in given.list("join")? {
        if !is_host_port(&seed) {
            return Err(given.wrong(&["join"], format_args!("`{seed}`: expected {HOST_PORT}")));
        }
        if seed.ends_with(":0") {
            return Err(given.wrong(&["join"], format_args!("`{seed}`: nobody listens on port 0, expected another")));
        }
        if !seeds.contains(&seed) {
            seeds.push(seed);
        }
    }
    Ok(seeds)
}

pub(super) fn cluster(given: &Given) -> Result<String, Fatal> {
    let expected = format_args!("a name of 1 to {CLUSTER_NAME_MAX} bytes without control characters").to_string();
    let name = given.text("cluster", expected, |name| {
        let sound = (1..=CLUSTER_NAME_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
        sound.then(|| name.to_owned())
    })?;
    Ok(name.unwrap_or_else(|| "default".to_owned()))
}

/// None: never.
pub(super) fn lost_majority_after(given: &Given) -> Result<Option<Duration>, Fatal> {
    let (min, max) = (LOST_MAJORITY_MIN, 365 * DAY);
    let expected = format!(
        "a duration from {} to {}, such as {}; or never, to wait until a majority is back",
        Span(min),
        Span(max),
        Span(LOST_MAJORITY_DEFAULT)
    );
    let after = given.text("lost_majority_after", expected, |text| match text {
        "never" => Some(None),
        text => humantime::parse_duration(text).ok().filter(|after| (min..=max).contains(after)).map(Some),
    })?;
    Ok(after.unwrap_or(Some(LOST_MAJORITY_DEFAULT)))
}

/// A word, or how many copies. As many as a majority are one: however it was put, nodes that mean the same go together,
/// and do the same with a set that is larger for a moment.
pub(super) fn quorum(given: &Given, key: &str, replicas: usize) -> Result<Need, Fatal> {
    let numbers = match replicas {
        1 => "the number 1".to_owned(),
        most => format!("a number from 1 to {most}"),
    };
    let copies = given.word_or_number(key, format_args!("one, majority, all or {numbers}"), |text| match text {
        "one" => Some(1),
        "majority" => Some(Need::Majority.of(replicas)),
        "all" => Some(replicas),
        number => number.parse().ok().filter(|copies| (1..=replicas).contains(copies)),
    })?;
    Ok(match copies {
        Some(copies) if copies != Need::Majority.of(replicas) => Need::Copies(copies),
        _ => Need::Majority,
    })
}

pub(super) fn value_limit(given: &Given) -> Result<usize, Fatal> {
    let limit = given.word_or_number("value_limit", "a number of bytes from 1 to 64MiB, such as 4MiB", |text| {
        let bytes = usize::try_from(bytes(text)?).ok()?;
        (1..=VALUE_LIMIT_MAX).contains(&bytes).then_some(bytes)
    })?;
    Ok(limit.unwrap_or(4 << 20))
}

/// Bytes a second; none: as many as can be.
pub(super) fn bandwidth(given: &Given) -> Result<Option<u64>, Fatal> {
    let expected = "none, or bytes a second, 1KiB at least, such as 10MiB";
    let bandwidth = given.word_or_number("repair_bandwidth", expected, |text| match text {
        "none" => Some(None),
        // Less would not move one large value in its time.
        text => bytes(text).filter(|bytes| *bytes >= 1 << 10).map(Some),
    })?;
    Ok(bandwidth.flatten())
}

/// A number, with KiB, MiB or GiB behind it if need be.
fn bytes(text: &str) -> Option<u64> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1u64 << 30)];
    let scaled = units.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)));
    let (number, size) = scaled.unwrap_or((text, 1));
    number.trim().parse::<u64>().ok()?.checked_mul(size)
}
