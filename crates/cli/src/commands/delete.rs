use clap::Args;
use client::{Condition, DeleteOptions, Version};
use serde::Serialize;

use super::{AckJson, acks_text};
use crate::args::{ConsistencyArg, KeyArg};
use crate::context::Context;
use crate::digits::Digits;
use crate::exit::Result;
use crate::output::Paint;

/// Remove all copies of a record; deleting what is not there is fine
#[derive(Args, Debug)]
pub(crate) struct Delete {
    #[command(flatten)]
    key: KeyArg,
    /// Only if the record still has this version
    #[arg(long, value_name = "V")]
    if_version: Option<Version>,
    #[command(flatten)]
    consistency: ConsistencyArg,
}

#[derive(Serialize, Debug)]
struct Deleted {
    key: String,
    id: String,
    version: String,
    acks: Vec<AckJson>,
}

impl Delete {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let client = context.client()?;
        let condition = self.if_version.map(Condition::IfVersion);
        let options = DeleteOptions { condition, consistency: self.consistency.asked() };
        let receipt = client.delete(self.key.bytes()?, options).await?;
        let ids = receipt.acks.iter().map(|ack| &ack.peer.id[..]).chain([&receipt.id[..]]);
        let digits = Digits::of(&client, ids).await;
        let deleted = Deleted {
            key: self.key.key,
            id: digits.show(&receipt.id),
            version: receipt.version.to_string(),
            acks: receipt.acks.iter().map(|ack| AckJson::new(ack, digits)).collect(),
        };
        context.out.show(&deleted, text)
    }
}

fn text(deleted: &Deleted, paint: Paint) -> String {
    let Deleted { key, id, version, acks } = deleted;
    let key = paint.bold(key);
    format!("{key} deleted\n  id       {id}\n  version  {version}\n{}", acks_text(acks))
}
