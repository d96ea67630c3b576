use clap::Args;
use overlay::inspect;
use serde::Serialize;

use crate::columns::Columns;
use crate::context::Context;
use crate::digits::short;
use crate::exit::{Exit, Failure, Result};
use crate::invariants;
use crate::output::{Paint, counted};
use crate::protocols;
use crate::survey::{Depth, survey};

/// Check the overlay's invariants, asking every member; exit code 5 if any is broken
#[derive(Args, Debug)]
pub(crate) struct Check {}

#[derive(Serialize, Debug)]
struct Checked {
    ok: bool,
    violations: Vec<Violation>,
    protocol: String,
    members: usize,
    /// Entries that make lookups longer, never wrong.
    detours: usize,
}

/// Something that should not be.
#[derive(Serialize, Debug)]
struct Violation {
    /// Whose state is wrong.
    member: String,
    /// The rule that is broken.
    invariant: &'static str,
    /// What was found, in words.
    detail: String,
}

impl Check {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let overlay = survey(context, Depth::Tables).await?;
        let verdict = invariants::judge(&overlay)?;
        let checked = Checked {
            ok: verdict.violations.is_empty(),
            violations: verdict.violations.into_iter().map(Violation::from).collect(),
            protocol: overlay.protocol,
            members: overlay.members.len(),
            detours: verdict.detours,
        };
        context.out.show(&checked, text)?;
        if checked.ok { Ok(()) } else { Err(Failure::silent(Exit::Unhealthy)) }
    }
}

impl From<inspect::Violation> for Violation {
    fn from(inspect::Violation { member, invariant, detail }: inspect::Violation) -> Self {
        Self { member: member.to_string(), invariant, detail }
    }
}

fn text(checked: &Checked, paint: Paint) -> String {
    let members = counted(checked.members as u64, "member");
    let mut text = if checked.ok {
        format!("{} {members}, every invariant of {} holds\n", paint.good("ok"), checked.protocol)
    } else {
        let broken = counted(checked.violations.len() as u64, "violation");
        let mut columns = Columns::new(&["member", "invariant", "detail"]);
        for Violation { member, invariant, detail } in &checked.violations {
            columns.row([short(member), (*invariant).to_owned(), detail.clone()]);
        }
        format!("{} {broken} among {members}\n\n{}", paint.bad("not ok"), columns.render(2))
    };
    if checked.detours > 0 {
        let entry = protocols::find(&checked.protocol).map_or("entry", |protocol| protocol.entry);
        let entries = counted(checked.detours as u64, entry);
        text.push_str(&format!("{entries} not at the nearest node: lookups stay right and may take a hop more\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_are_listed_with_member_and_invariant() {
        let violation = Violation { member: "2a".into(), invariant: "predecessor", detail: "is 08, not 20".into() };
        let checked =
            Checked { ok: false, violations: vec![violation], protocol: "chord".into(), members: 5, detours: 1 };
        let expected = "\
not ok 1 violation among 5 members

  member  invariant    detail
  2a      predecessor  is 08, not 20
1 finger not at the nearest node: lookups stay right and may take a hop more
";
        assert_eq!(text(&checked, Paint::PLAIN), expected);
        let json = serde_json::to_string(&checked).unwrap();
        assert!(json.starts_with(
            r#"{"ok":false,"violations":[{"member":"2a","invariant":"predecessor","detail":"is 08, not 20"}]"#
        ));
    }
}
