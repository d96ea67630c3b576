mod coverage;

use std::time::Duration;

use clap::Args;
use client::message::{Below, VerifyResponse};
use futures::StreamExt;
use futures::future::join_all;
use indicatif::ProgressBar;
use overlay::Peer;
use ring::{Range, Space};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use self::coverage::{Claim, Refused, Unverified, claims, explained, gaps, read_range, verified_part};
use crate::columns::Columns;
use crate::context::Context;
use crate::digits::short;
use crate::exit::{Exit, Failure, Result};
use crate::output::{Paint, counted, key_text};
use crate::progress;
use crate::survey::{Depth, Member, Overlay, State, in_a_word, survey};

/// How many members compare their copies at the same time.
const IN_FLIGHT: usize = 8;
/// Of the time allowed, finding the members may take one part of so many, so that one who is silent leaves time for the
/// others.
const FINDING: u32 = 2;
/// Of the time allowed, one part of so many is kept for asking about arcs that nobody verified.
const ASKING: u32 = 10;

/// Count the copies of every record, asking every member; exit code 5 if any record has too few, or a part of the
/// circle has no primary that answers; 4 if --timeout is over before all was counted
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Verify {
    /// Name up to this many of the keys with too few copies
    #[arg(long, value_name = "N", default_value_t = 20)]
    keys: u32,
}

#[derive(Serialize, Default, Debug)]
struct Verified {
    ok: bool,
    records: u64,
    /// With fewer copies of their newest version than are wanted.
    below: u64,
    wanted: u32,
    /// Some of those below.
    keys: Vec<Named>,
    /// Members that could not be asked, and why.
    problems: Vec<String>,
    /// That were verified.
    ranges: u64,
    /// The part of the circle that they are, from 0 to 1.
    verified: f64,
    /// The rest of it.
    unverified: Vec<Unverified>,
}

/// What one member said.
#[derive(Default)]
struct Part {
    /// What it verified, but for the part of the circle.
    counted: Verified,
    verified: Vec<Range>,
    refused: Vec<Refused>,
    /// The time was over before it was through.
    timed_out: bool,
}

/// A record with too few copies.
#[derive(Serialize, Debug)]
struct Named {
    key: String,
    copies: u32,
}

impl Verify {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let allowed = context.global.timeout;
        let deadline = Instant::now() + allowed;
        let overlay = members(context, deadline).await?;
        let bar = if context.out.is_json() { ProgressBar::hidden() } else { progress::counting(0, "comparing copies") };
        let until = deadline - allowed / ASKING;
        let asked = overlay.members.iter().map(|member| self.look_at(context, member, until, &bar));
        // In ring order, whoever is done first.
        let parts: Vec<Part> = futures::stream::iter(asked).buffered(IN_FLIGHT).collect().await;
        bar.finish_and_clear();
        let timed_out = parts.iter().any(|part| part.timed_out);
        let mut verified =
            self.together(parts, &overlay, timed_out, async || sets(context, &overlay, deadline).await).await;
        verified.ok &= !timed_out;
        context.out.show(&verified, text)?;
        if timed_out {
            let done = format!("{} of the circle was verified", percent(verified.verified));
            let allowed = humantime::format_duration(allowed);
            let message = format!("timed out after {allowed}, when {done}; wait longer with --timeout");
            return Err(Failure::new(Exit::Unreachable, message));
        }
        if verified.ok { Ok(()) } else { Err(Failure::silent(Exit::Unhealthy)) }
    }

    /// What one member is the primary of.
    async fn look_at(self, context: &Context, member: &Member, until: Instant, bar: &ProgressBar) -> Part {
        let Member { peer, report } = member;
        let mut part = Part::default();
        let problem = match report.as_ref().map(|report| report.state) {
            Ok(State::Ready | State::Leaving) => self.gather(context, peer, until, bar, &mut part).await.err(),
            // Is the primary of nothing yet.
            Ok(State::Joining) => None,
            Err(why) => Some(format!("does not answer ({why})")),
        };
        part.counted.problems.extend(problem.map(|problem| of(peer, &problem)));
        part
    }

    /// Asks one member. What it said before it fell silent stands.
    async fn gather(
        self,
        context: &Context,
        peer: &Peer,
        until: Instant,
        bar: &ProgressBar,
        part: &mut Part,
    ) -> std::result::Result<(), String> {
        let left = until.saturating_duration_since(Instant::now());
        if left < Duration::from_millis(1) {
            part.timed_out = true;
            return Err("was not asked, the time was over".to_owned());
        }
        let client = context.client_of(peer.addr.as_str(), left);
        let client = client.map_err(|failure| failure.message.unwrap_or_default())?;
        let mut ranges = client.verify(self.keys).await.map_err(|error| part.failed(error))?;
        let (mut done, mut total) = (0, 0);
        loop {
            let range = match ranges.next().await {
                Ok(Some(range)) => range,
                Ok(None) if done >= total => return Ok(()),
                Ok(None) => return Err(ended(done, total)),
                Err(error) if total == 0 => return Err(part.failed(error)),
                Err(error) => return Err(format!("{}: {}", ended(done, total), part.failed(error))),
            };
            if done == 0 {
                bar.inc_length(range.ranges.into());
            }
            bar.inc(1);
            (done, total) = (done + 1, range.ranges.into());
            self.add(part, peer, range);
        }
    }

    fn add(self, part: &mut Part, peer: &Peer, range: VerifyResponse) {
        let counted = &mut part.counted;
        counted.problems.extend(range.problems.iter().map(|problem| of(peer, problem)));
        let Some(arc) = range.range.as_ref().and_then(|arc| read_range(arc, peer.id.space())) else {
            counted.problems.push(of(peer, "does not say which range it verified"));
            return;
        };
        if !range.unverified.is_empty() {
            part.refused.push(Refused { range: arc, peer: peer.clone(), why: range.unverified });
            return;
        }
        part.verified.push(arc);
        counted.ranges += 1;
        counted.records += range.records;
        counted.below += range.below;
        counted.wanted = counted.wanted.max(range.wanted);
        counted.keys.extend(range.named.iter().map(Named::new));
        counted.keys.truncate(self.keys as usize);
    }

    /// `sets` is asked for what members know of the circle's parts that nobody verified, if there are any.
    async fn together(
        self,
        parts: Vec<Part>,
        overlay: &Overlay,
        timed_out: bool,
        sets: impl AsyncFnOnce() -> Vec<Claim>,
    ) -> Verified {
        let mut all = Verified::default();
        let (mut verified, mut refused) = (Vec::new(), Vec::new());
        for Part { counted, verified: ranges, refused: not, .. } in parts {
            all.ranges += counted.ranges;
            all.records += counted.records;
            all.below += counted.below;
            all.wanted = all.wanted.max(counted.wanted);
            all.keys.extend(counted.keys);
            all.problems.extend(counted.problems);
            verified.extend(ranges);
            refused.extend(not);
        }
        all.keys.truncate(self.keys as usize);
        let gaps = space(overlay).map_or_else(Vec::new, |space| gaps(space, &verified));
        all.verified = if verified.is_empty() { 0.0 } else { verified_part(&gaps) };
        if !gaps.is_empty() {
            all.unverified = explained(gaps, &mut sets().await, &refused, &overlay.members, timed_out);
        }
        all.ok = all.below == 0 && all.problems.is_empty() && all.unverified.is_empty();
        all
    }
}

impl Part {
    /// Notes whether the time was over; what came of it, in a word.
    fn failed(&mut self, error: client::Error) -> String {
        self.timed_out |= matches!(error, client::Error::TimedOut { .. });
        in_a_word(error)
    }
}

/// The members, found in a part of the time that is allowed.
async fn members(context: &Context, deadline: Instant) -> Result<Overlay> {
    let allowed = context.global.timeout;
    let mut hasty = context.clone();
    hasty.global.timeout = allowed / FINDING;
    timeout_at(deadline, survey(&hasty, Depth::Neighbours)).await.unwrap_or_else(|_| {
        let allowed = humantime::format_duration(allowed);
        let message = format!("timed out after {allowed}, before all members were found; wait longer with --timeout");
        Err(Failure::new(Exit::Unreachable, message))
    })
}

/// The sets that the members know which answer before the time is over.
async fn sets(context: &Context, overlay: &Overlay, deadline: Instant) -> Vec<Claim> {
    let answering = overlay.members.iter().filter(|member| member.report.is_ok());
    let asked = answering.map(async |Member { peer, .. }| {
        let left = deadline.saturating_duration_since(Instant::now());
        let client = context.client_of(peer.addr.as_str(), left).ok()?;
        let status = timeout_at(deadline, client.status()).await.ok()?.ok()?;
        Some(claims(&status, peer.id.space()).collect::<Vec<Claim>>())
    });
    join_all(asked).await.into_iter().flatten().flatten().collect()
}

fn space(overlay: &Overlay) -> Option<Space> {
    overlay.members.first().map(|member| member.peer.id.space())
}

fn ended(done: u64, total: u64) -> String {
    format!("ended after {done} of {}", counted(total, "range"))
}

impl Named {
    fn new(below: &Below) -> Self {
        Self { key: key_text(&below.key), copies: below.copies }
    }
}

fn of(peer: &Peer, problem: &str) -> String {
    format!("{} at {}: {problem}", peer.id, peer.addr)
}

/// Rounded towards what is worse, so that only all is called all.
fn percent(part: f64) -> String {
    let tenths = (part * 1000.0).floor() / 10.0;
    if tenths.fract() == 0.0 { format!("{tenths:.0} %") } else { format!("{tenths:.1} %") }
}

fn text(verified: &Verified, paint: Paint) -> String {
    let Verified { ok, records, below, wanted, keys, problems, ranges, verified, unverified } = verified;
    let verdict = if *ok { paint.good("ok") } else { paint.bad("not ok") };
    let few = if *below == 0 { "none".to_owned() } else { below.to_string() };
    let at_least = if *verified < 1.0 { "at least " } else { "" };
    let mut text = if *ranges == 0 {
        format!("{verdict}: nobody could say anything of any range\n")
    } else {
        let (records, ranges) = (counted(*records, "record"), counted(*ranges, "range"));
        let copies = counted((*wanted).into(), "copy");
        format!("{verdict} {at_least}{records} in {ranges}, {few} with fewer than {copies}\n")
    };
    if !keys.is_empty() {
        let mut columns = Columns::new(&["key", ">copies"]);
        for Named { key, copies } in keys {
            columns.row([key.clone(), copies.to_string()]);
        }
        text.push_str(&format!("\n{}", columns.render(2)));
    }
    let unnamed = below.saturating_sub(keys.len() as u64);
    if unnamed > 0 {
        text.push_str(&format!("{} not named; --keys names more\n", counted(unnamed, "key")));
    }
    if !unverified.is_empty() {
        let mut columns = Columns::new(&["after", "upto", "primary", "why"]);
        for Unverified { after, upto, primary, why, .. } in unverified {
            let primary = primary
                .as_ref()
                .map_or_else(|| "not known".to_owned(), |peer| format!("{} at {}", short(&peer.id), peer.addr));
            columns.row([short(after), short(upto), primary, why.clone()]);
        }
        let arcs = counted(unverified.len() as u64, "arc");
        let verb = if unverified.len() == 1 { "was" } else { "were" };
        let done = percent(*verified);
        text.push_str(&format!(
            "\n{arcs} {verb} not verified, no primary answered; {done} of the circle was\n{}",
            columns.render(2)
        ));
    }
    if !problems.is_empty() {
        let lines: String = problems.iter().map(|problem| format!("  {problem}\n")).collect();
        text.push_str(&format!("\n{}\n{lines}", counted(problems.len() as u64, "problem")));
    }
    text
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use overlay::Addr;
    use wire::WireForm;

    use super::*;

    const VERIFY: Verify = Verify { keys: 2 };

    fn peer(id: u64) -> Peer {
        let id = Space::new(6).unwrap().id(id).unwrap();
        Peer { id, addr: Addr::new(&format!("n{id}:1")).unwrap(), incarnation: 1 }
    }

    fn overlay() -> Overlay {
        let silent = |id| Member { peer: peer(id), report: Err("connection refused".into()) };
        Overlay { protocol: "chord".into(), cluster: "default".into(), members: vec![silent(8), silent(14)] }
    }

    /// An arc, and what its primary found.
    fn range((after, upto): (u64, u64), records: u64, below: &[(&'static str, u32)]) -> VerifyResponse {
        let id = |id| peer(id).id;
        VerifyResponse {
            ranges: 2,
            range: Some(Range::new(id(after), id(upto)).to_message()),
            records,
            below: below.len() as u64,
            wanted: 3,
            named: below.iter().map(|(key, copies)| Below { key: (*key).into(), copies: *copies }).collect(),
            ..VerifyResponse::default()
        }
    }

    fn part(id: u64, ranges: Vec<VerifyResponse>) -> Part {
        let mut part = Part::default();
        for range in ranges {
            VERIFY.add(&mut part, &peer(id), range);
        }
        part
    }

    fn together(parts: Vec<Part>) -> Verified {
        let overlay = overlay();
        let together = VERIFY.together(parts, &overlay, false, async || Vec::new());
        together.now_or_never().expect("nobody is waited for")
    }

    #[test]
    fn records_with_all_their_copies_are_counted() {
        let one = part(8, vec![range((14, 60), 10, &[]), range((60, 8), 5, &[])]);
        let verified = together(vec![one, part(14, vec![range((8, 14), 1, &[])])]);
        assert_eq!(text(&verified, Paint::PLAIN), "ok 16 records in 3 ranges, none with fewer than 3 copies\n");
        let expected = concat!(
            r#"{"ok":true,"records":16,"below":0,"wanted":3,"keys":[],"problems":[],"ranges":3,"#,
            r#""verified":1.0,"unverified":[]}"#
        );
        assert_eq!(serde_json::to_string(&verified).unwrap(), expected);
    }

    #[test]
    fn records_with_too_few_copies_are_named_up_to_the_limit_and_counted_beyond_it() {
        let one = part(8, vec![range((14, 8), 10, &[("fruit", 2)])]);
        let other = part(14, vec![range((8, 14), 5, &[("a\nb", 1), ("tree", 2)])]);
        let verified = together(vec![one, other]);
        let expected = r"not ok 15 records in 2 ranges, 3 with fewer than 3 copies

  key     copies
  fruit        2
  a\x0ab       1
1 key not named; --keys names more
";
        assert_eq!(text(&verified, Paint::PLAIN), expected);
        let json = serde_json::to_string(&verified).unwrap();
        assert!(json.contains(r#""below":3,"wanted":3,"keys":[{"key":"fruit","copies":2},"#), "{json}");
    }

    #[test]
    fn what_was_not_looked_at_is_a_problem_that_names_the_member() {
        let silent = VerifyResponse { problems: vec!["can't reach 2a".into()], ..range((14, 8), 5, &[]) };
        let mut one = part(8, vec![silent, range((8, 14), 0, &[])]);
        one.counted.problems.push(of(&peer(8), &ended(2, 3)));
        let verified = together(vec![one]);
        let expected = "\
not ok 5 records in 2 ranges, none with fewer than 3 copies

2 problems
  08 at n08:1: can't reach 2a
  08 at n08:1: ended after 2 of 3 ranges
";
        assert_eq!(text(&verified, Paint::PLAIN), expected);
        assert!(!verified.ok);
    }

    #[test]
    fn an_arc_that_no_primary_verified_is_not_all_well_and_is_listed_with_who_should_have() {
        let changing = VerifyResponse { unverified: "it is changing hands".into(), ..range((8, 14), 7, &[("k", 1)]) };
        let verified = together(vec![part(8, vec![range((24, 8), 5, &[])]), part(14, vec![changing])]);
        let expected = "\
not ok at least 5 records in 1 range, none with fewer than 3 copies

2 arcs were not verified, no primary answered; 75 % of the circle was
  after  upto  primary      why
  08     0e    0e at n0e:1  it is changing hands
  0e     18    not known    no member knows who holds it, nor who owns it
";
        assert_eq!(text(&verified, Paint::PLAIN), expected);
        let json = serde_json::to_string(&verified).unwrap();
        let expected = concat!(
            r#""verified":0.75,"unverified":[{"after":"08","upto":"0e","primary":{"id":"0e","addr":"n0e:1"},"#,
            r#""why":"it is changing hands"},{"after":"0e","upto":"18","primary":null,"why""#
        );
        assert!(json.contains(expected), "{json}");
    }

    #[test]
    fn nothing_looked_at_is_not_all_well() {
        let verified = together(vec![Part::default()]);
        assert!(!verified.ok && verified.verified == 0.0);
        assert_eq!(verified.unverified.len(), 1);
    }

    #[test]
    fn only_all_of_the_circle_is_called_all_of_it() {
        assert_eq!([1.0, 0.9999, 0.5, 0.0].map(percent), ["100 %", "99.9 %", "50 %", "0 %"]);
    }
}
