use std::time::Duration;

use futures::future::try_join_all;
use indicatif::ProgressBar;

use super::{Daemon, Launch, Ready};
use crate::exit::{Failure, Result};

/// How long one node may take to be ready, beyond its own time-out for joining.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Starts a cluster: the first node begins the ring, the others join through it, all at the same time. `launch` is given
/// each node's number, from 1, and whom it joins through; `bar` counts those that are ready.
pub(crate) async fn start_all(
    nodes: u16,
    launch: impl Fn(u16, Option<&str>) -> Launch,
    bar: &ProgressBar,
) -> Result<Vec<(Daemon, Ready)>> {
    let start = |number: u16, seed: Option<&str>| {
        let launch = launch(number, seed);
        async move {
            let mut daemon = Daemon::start(&launch)?;
            let ready = daemon.ready(READY_WITHIN).await?;
            bar.inc(1);
            Ok::<_, Failure>((daemon, ready))
        }
    };
    let first = start(1, None).await?;
    let seed = first.1.advertise.clone();
    let others = try_join_all((2..=nodes).map(|number| start(number, Some(&seed)))).await?;
    Ok([first].into_iter().chain(others).collect())
}
