//! The commands, a file each.

pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod delete;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod join;
pub(crate) mod leave;
pub(crate) mod lookup;
pub(crate) mod man;
pub(crate) mod put;
pub(crate) mod ring;
pub(crate) mod status;
pub(crate) mod table;
pub(crate) mod verify;

use std::io;

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Cli, Command};
use crate::context::Context;
use crate::digits::Digits;
use crate::exit::{Exit, Failure, Result};

/// Runs the command to its end, or to Ctrl-C.
pub(crate) fn run(cli: Cli) -> Result {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::other(format!("cannot start: {error}")))?;
    let context = Context::new(cli.global);
    let result = runtime.block_on(async {
        match cli.command {
            // Ends with Ctrl-C, in its own way.
            Command::Dev(dev) => dev.run(&context).await,
            command => tokio::select! {
                result = dispatch(command, &context) => result,
                exit = interrupted() => Err(Failure::silent(exit)),
            },
        }
    });
    // Names that are still being resolved, and a stdin that is still being read, hold nobody up.
    runtime.shutdown_background();
    result
}

async fn dispatch(command: Command, context: &Context) -> Result {
    match command {
        Command::Put(put) => put.run(context).await,
        Command::Get(get) => get.run(context).await,
        Command::Delete(delete) => delete.run(context).await,
        Command::Lookup(lookup) => lookup.run(context).await,
        Command::Explain(explain) => explain.run(context).await,
        Command::Status(status) => status.run(context).await,
        Command::Ring(ring) => ring.run(context).await,
        Command::Table(table) => table.run(context).await,
        Command::Check(check) => check.run(context).await,
        Command::Verify(verify) => verify.run(context).await,
        Command::Leave(leave) => leave.run(context).await,
        Command::Join(join) => join.run(context).await,
        Command::Dev(dev) => dev.run(context).await,
        Command::Compare(compare) => compare.run(context).await,
        Command::Demo(demo) => demo.run(context).await,
        Command::Bench(bench) => bench.run(context).await,
        Command::Completions(completions) => completions.run(context),
        Command::Man(man) => man.run(context),
    }
}

/// Waits for Ctrl-C or SIGTERM, and says which exit code it comes to. What is dropped then takes its daemons along.
pub(crate) async fn interrupted() -> Exit {
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => Exit::Interrupted,
        () = wait(SignalKind::terminate()) => Exit::Terminated,
    }
}

/// A node, as JSON names it everywhere.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct PeerJson {
    pub(crate) id: String,
    pub(crate) addr: String,
}

impl PeerJson {
    pub(crate) fn new(peer: &client::message::Peer, digits: Digits) -> Self {
        Self { id: digits.show(&peer.id), addr: peer.addr.clone() }
    }
}

/// A copy, as JSON names it.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct AckJson {
    pub(crate) id: String,
    pub(crate) addr: String,
    pub(crate) durable: bool,
}

impl AckJson {
    pub(crate) fn new(ack: &client::Ack, digits: Digits) -> Self {
        Self { id: digits.show(&ack.peer.id), addr: ack.peer.addr.clone(), durable: ack.durable }
    }
}

/// The copies of a write, a line each, for people.
pub(crate) fn acks_text(acks: &[AckJson]) -> String {
    let mut columns = crate::columns::Columns::bare();
    for ack in acks {
        let place = if ack.durable { "on disk" } else { "in memory" };
        columns.row([crate::digits::short(&ack.id), ack.addr.clone(), place.to_owned()]);
    }
    columns.render(2)
}

/// Reads all of stdin without standing in the way of Ctrl-C.
pub(crate) async fn read_stdin() -> Result<Vec<u8>> {
    let read = tokio::task::spawn_blocking(|| {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::stdin().lock(), &mut bytes).map(|_| bytes)
    });
    let read = read.await.map_err(|error| Failure::other(error.to_string()))?;
    read.map_err(|error| Failure::file("read", "stdin", &error))
}
