use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use client::{Condition, PutOptions, Version};
use serde::Serialize;

use super::{AckJson, acks_text, read_stdin};
use crate::args::{ConsistencyArg, KeyArg, positive_time};
use crate::context::Context;
use crate::digits::Digits;
use crate::exit::{Failure, Result};
use crate::output::{Paint, counted, duration_us};

/// Store a value under a key
#[derive(Args, Debug)]
pub(crate) struct Put {
    #[command(flatten)]
    key: KeyArg,
    /// The value; `-` reads it from stdin
    #[arg(required_unless_present = "file", conflicts_with = "file", allow_hyphen_values = true)]
    value: Option<String>,
    /// Read the value from a file
    #[arg(long, value_name = "F")]
    file: Option<PathBuf>,
    /// The record is gone after this time, for instance 60s or 2h
    #[arg(long, value_name = "TIME", value_parser = positive_time)]
    ttl: Option<Duration>,
    #[command(flatten)]
    condition: ConditionArgs,
    #[command(flatten)]
    consistency: ConsistencyArg,
}

/// What the record that is there must be like.
#[derive(Args, Clone, Copy, Debug)]
#[group(multiple = false)]
struct ConditionArgs {
    /// Only if the record still has this version
    #[arg(long, value_name = "V")]
    if_version: Option<Version>,
    /// Only if there is no record
    #[arg(long)]
    if_absent: bool,
}

impl ConditionArgs {
    fn condition(self) -> Option<Condition> {
        self.if_version.map(Condition::IfVersion).or(self.if_absent.then_some(Condition::IfAbsent))
    }
}

#[derive(Serialize, Debug)]
struct Stored {
    key: String,
    id: String,
    version: String,
    acks: Vec<AckJson>,
    elapsed_us: u64,
}

impl Put {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (key, value) = (self.key.bytes()?, self.read_value().await?);
        let options =
            PutOptions { ttl: self.ttl, condition: self.condition.condition(), consistency: self.consistency.asked() };
        let client = context.client()?;
        let start = Instant::now();
        let receipt = client.put(key, value, options).await?;
        let elapsed_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let ids = receipt.acks.iter().map(|ack| &ack.peer.id[..]).chain([&receipt.id[..]]);
        let digits = Digits::of(&client, ids).await;
        let stored = Stored {
            key: self.key.key,
            id: digits.show(&receipt.id),
            version: receipt.version.to_string(),
            acks: receipt.acks.iter().map(|ack| AckJson::new(ack, digits)).collect(),
            elapsed_us,
        };
        context.out.show(&stored, text)
    }

    async fn read_value(&self) -> Result<Bytes> {
        match (&self.file, &self.value) {
            (Some(path), _) => {
                let read = tokio::fs::read(path).await;
                read.map(Bytes::from).map_err(|error| Failure::file("read", path.display(), &error))
            }
            (None, Some(dash)) if dash == "-" => read_stdin().await.map(Bytes::from),
            (None, value) => Ok(Bytes::from(value.clone().unwrap_or_default())),
        }
    }
}

fn text(stored: &Stored, paint: Paint) -> String {
    let Stored { key, id, version, acks, elapsed_us } = stored;
    let copies = counted(acks.len() as u64, "copy");
    let key = paint.bold(key);
    format!(
        "{key} stored in {}, {copies}\n  id       {id}\n  version  {version}\n{}",
        duration_us(*elapsed_us),
        acks_text(acks)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receipt_is_shown_with_every_copy() {
        let ack = |id: &str, addr: &str, durable| AckJson { id: id.into(), addr: addr.into(), durable };
        let stored = Stored {
            key: "fruit".into(),
            id: "2a".into(),
            version: "0000000000000001-00000000000000a7".into(),
            acks: vec![ack("2d", "127.0.0.1:7160", true), ack("50", "127.0.0.1:71601", false)],
            elapsed_us: 1234,
        };
        let expected = "fruit stored in 1.23 ms, 2 copies\n  id       2a\n  version  0000000000000001-00000000000000a7\n  \
                        2d  127.0.0.1:7160   on disk\n  50  127.0.0.1:71601  in memory\n";
        assert_eq!(text(&stored, Paint::PLAIN), expected);
        let json = serde_json::to_string(&stored).unwrap();
        assert!(json.starts_with(r#"{"key":"fruit","id":"2a","version":"0000000000000001-00000000000000a7","acks":[{"id":"2d","addr":"127.0.0.1:7160","durable":true},"#));
        assert!(json.ends_with(r#""elapsed_us":1234}"#));
    }
}
