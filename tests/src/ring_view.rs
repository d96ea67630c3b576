//! A ring as one of its members walks it, and what it should hold.

use std::collections::BTreeMap;

use serde_json::Value;

/// One entry of `dht ring -o json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Identifier.
    pub id: String,
    /// Where it is dialled.
    pub addr: String,
    /// joining, ready, leaving or unreachable.
    pub state: String,
    /// Records that it holds, copies included; 0 when it does not answer.
    pub keys: u64,
    /// Which life of this identifier.
    pub incarnation: u64,
}

/// Reads what `dht ring -o json` printed.
///
/// # Errors
/// When a promised field is not there.
pub fn parse_members(ring: &Value) -> Result<Vec<Member>, String> {
    let members = ring["members"].as_array().ok_or_else(|| format!("no \"members\" in {ring}"))?;
    members.iter().map(parse_member).collect()
}

fn parse_member(member: &Value) -> Result<Member, String> {
    let text =
        |field: &str| member[field].as_str().map(str::to_owned).ok_or_else(|| format!("no {field:?} in {member}"));
    let state = text("state")?;
    let answers = state != "unreachable";
    let number = |field: &str| match member[field].as_u64() {
        Some(number) => Ok(number),
        None if !answers => Ok(0),
        None => Err(format!("no {field:?} in {member}")),
    };
    Ok(Member {
        id: text("id")?,
        addr: text("addr")?,
        keys: number("keys")?,
        incarnation: number("incarnation")?,
        state,
    })
}

/// How many copies each node should hold when every record's holders are these.
pub(crate) fn copies_each<'a>(
    nodes: &[&str],
    holders: impl IntoIterator<Item = impl IntoIterator<Item = &'a str>>,
) -> BTreeMap<String, u64> {
    let mut expected: BTreeMap<String, u64> = nodes.iter().map(|node| ((*node).to_owned(), 0)).collect();
    for holder in holders.into_iter().flatten() {
        *expected.entry(holder.to_owned()).or_default() += 1;
    }
    expected
}
