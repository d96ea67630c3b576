use clap::Args;
use client::Endpoint;
use serde::Serialize;

use crate::context::Context;
use crate::digits::Digits;
use crate::exit::{Failure, Result};

/// Ask the node at the first endpoint to merge its ring with another's
#[derive(Args, Debug)]
pub(crate) struct Join {
    /// A member of the other ring
    #[arg(value_name = "HOST:PORT")]
    addr: Endpoint,
}

#[derive(Serialize, Debug)]
struct Joined {
    id: String,
    addr: String,
    outcome: String,
}

impl Join {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let client = context.client()?;
        let answer = client.join(self.addr.as_str()).await?;
        let me = answer.me.ok_or_else(|| Failure::other("the node answered without saying who it is"))?;
        let digits = Digits::of(&client, [&me.id[..]]).await;
        let joined = Joined { id: digits.show(&me.id), addr: me.addr, outcome: answer.outcome };
        context.out.show(&joined, |joined, paint| {
            format!("{} at {}: {}\n", paint.bold(&joined.id), joined.addr, joined.outcome)
        })
    }
}
