use clap::Args;

use super::PeerJson;
use crate::context::Context;
use crate::digits::Digits;
use crate::exit::{Failure, Result};

/// Ask the node at the first endpoint to leave gracefully: it hands its records over first
#[derive(Args, Debug)]
pub(crate) struct Leave {}

impl Leave {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let client = context.client()?;
        // Asked first: afterwards it may be gone.
        let digits = Digits::of_bits(client.status().await?.id_bits);
        let me = client.leave().await?.me;
        let me = me.ok_or_else(|| Failure::other("the node answered without saying who it is"))?;
        context.out.show(&PeerJson::new(&me, digits), |peer, paint| {
            let who = format!("{} at {}", paint.bold(&peer.id), peer.addr);
            format!("{who} is leaving: it hands its records over, and its process ends when that is done\n")
        })
    }
}
