use clap::Args;
use serde::Serialize;

use crate::columns::{Columns, bar};
use crate::context::Context;
use crate::digits::short;
use crate::exit::Result;
use crate::output::{Paint, byte_size, counted};
use crate::survey::{Depth, Member, Overlay, survey};

/// Show every member, found by walking the overlay
#[derive(Args, Debug)]
pub(crate) struct Ring {}

#[derive(Serialize, Debug)]
pub(crate) struct RingView {
    pub(crate) protocol: String,
    pub(crate) members: Vec<MemberView>,
}

/// A member; what only it can tell is null when it does not answer.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct MemberView {
    pub(crate) id: String,
    pub(crate) addr: String,
    pub(crate) process: Option<String>,
    pub(crate) state: &'static str,
    /// Why it takes no writes, whatever its state; null if it does.
    pub(crate) read_only: Option<String>,
    pub(crate) keys: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) incarnation: u64,
    pub(crate) error: Option<String>,
    /// Its part of the circle, from 0 to 1.
    pub(crate) share: Option<f64>,
    /// Where among the members the overlay puts it, where its identifier does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<String>,
}

impl Ring {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let overlay = survey(context, Depth::Neighbours).await?;
        let cluster = overlay.cluster.clone();
        context.out.show(&RingView::new(&overlay), |view, paint| {
            let keys = view.members.iter().filter_map(|member| member.keys).sum();
            let members = counted(view.members.len() as u64, "member");
            let copies = counted(keys, "copy");
            let title = paint.bold(&format!("{} · cluster `{cluster}` · {members}", view.protocol));
            format!("{title} holding {copies}\n\n{}", members_text(&view.members, paint))
        })
    }
}

impl RingView {
    pub(crate) fn new(overlay: &Overlay) -> Self {
        Self { protocol: overlay.protocol.clone(), members: overlay.members.iter().map(MemberView::new).collect() }
    }
}

impl MemberView {
    fn new(member: &Member) -> Self {
        let report = member.report.as_ref().ok();
        Self {
            id: member.peer.id.to_string(),
            addr: member.peer.addr.to_string(),
            process: report.map(|report| report.process.to_string()),
            state: report.map_or("unreachable", |report| report.state.word()),
            read_only: report.and_then(|report| report.read_only.clone()),
            keys: report.map(|report| report.keys),
            bytes: report.map(|report| report.bytes),
            incarnation: member.peer.incarnation,
            error: member.report.as_ref().err().cloned(),
            share: report.map(|report| report.share()),
            place: report.and_then(|report| report.place.clone()),
        }
    }
}

/// Members in ring order, a line each, with a bar for the share of the circle.
pub(crate) fn members_text(members: &[MemberView], paint: Paint) -> String {
    const WIDTH: usize = 20;
    let largest = members.iter().filter_map(|member| member.share).fold(f64::MIN_POSITIVE, f64::max);
    let placed = members.iter().any(|member| member.place.is_some());
    let mut names = vec!["node", "address", "state", ">share", "", ">keys", ">size", ""];
    if placed {
        names.insert(2, "place");
    }
    let mut columns = Columns::new(&names);
    for member in members {
        let state = match (member.state, &member.read_only) {
            ("ready", None) => paint.good("ready"),
            ("ready", Some(_)) => paint.bad("read-only"),
            (state, _) => paint.bad(state),
        };
        let share = member.share.map_or_else(String::new, |share| format!("{:.1} %", share * 100.0));
        let drawn = member.share.map_or_else(String::new, |share| paint.accent(&bar(share / largest, WIDTH)));
        let mut row = vec![
            short(&member.id),
            member.addr.clone(),
            state,
            share,
            drawn,
            member.keys.map_or_else(String::new, |keys| keys.to_string()),
            member.bytes.map_or_else(String::new, byte_size),
            member.error.as_ref().or(member.read_only.as_ref()).cloned().unwrap_or_default(),
        ];
        if placed {
            row.insert(2, member.place.clone().unwrap_or_default());
        }
        columns.row(row);
    }
    columns.render(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, state: &'static str, share: Option<f64>) -> MemberView {
        MemberView {
            id: id.into(),
            addr: format!("127.0.0.1:70{id}"),
            process: share.map(|_| id.into()),
            state,
            read_only: None,
            keys: share.map(|_| 12),
            bytes: share.map(|_| 3072),
            incarnation: 1,
            error: share.is_none().then(|| "connection refused".into()),
            share,
            place: None,
        }
    }

    #[test]
    fn members_are_drawn_in_order_with_their_shares() {
        let members =
            [member("10", "ready", Some(0.5)), member("20", "unreachable", None), member("30", "ready", Some(0.25))];
        let expected = "  node  address         state         share                        keys     size
  10    127.0.0.1:7010  ready        50.0 %  ████████████████████    12  3.0 KiB
  20    127.0.0.1:7020  unreachable                                               connection refused
  30    127.0.0.1:7030  ready        25.0 %  ██████████              12  3.0 KiB
";
        assert_eq!(members_text(&members, Paint::PLAIN), expected);
    }

    #[test]
    fn a_member_that_takes_no_writes_says_so_and_why() {
        let mut full = member("10", "ready", Some(0.5));
        full.read_only = Some("the disk is full".into());
        let shown = members_text(&[full.clone()], Paint::PLAIN);
        assert!(shown.contains("  read-only  ") && shown.contains("  the disk is full"), "{shown}");
        let json = serde_json::to_value(full).unwrap();
        assert_eq!((&json["state"], &json["read_only"]), (&"ready".into(), &"the disk is full".into()));
    }

    #[test]
    fn a_group_has_a_column_where_there_are_groups() {
        let mut members = [member("10", "ready", Some(0.5)), member("20", "unreachable", None)];
        members[0].place = Some("group 1".into());
        let shown = members_text(&members, Paint::PLAIN);
        assert!(shown.starts_with("  node  address         place    state"), "{shown}");
        assert!(shown.contains("127.0.0.1:7010  group 1  ready"), "{shown}");
    }

    #[test]
    fn a_member_that_does_not_answer_has_nulls_and_an_error() {
        let json = serde_json::to_string(&member("20", "unreachable", None)).unwrap();
        let expected = r#"{"id":"20","addr":"127.0.0.1:7020","process":null,"state":"unreachable","read_only":null,"keys":null,"bytes":null,"incarnation":1,"error":"connection refused","share":null}"#;
        assert_eq!(json, expected);
    }
}
