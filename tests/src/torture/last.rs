//! The reads when all is over: every key through several nodes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_pcg::Pcg64;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::ask::{Asker, Question};
use super::load::WITHIN;
use crate::history::{Asked, Call, Told};
use crate::stub;

/// Through so many nodes each.
const THROUGH: usize = 3;
/// A read is asked again for so long: what takes longer is not healed.
const HEALED_WITHIN: Duration = Duration::from_secs(60);
const IN_FLIGHT: usize = 16;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(100);

/// Reads every key, by a client that has this number.
pub(super) fn read_all(asker: &Asker, keys: u32, client: u32, seed: u64) -> Vec<Call> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let gate = Arc::new(Semaphore::new(IN_FLIGHT));
    let over = Instant::now() + HEALED_WITHIN;
    let mut reads = JoinSet::new();
    for key in 0..keys {
        for through in rand::seq::index::sample(&mut rng, asker.nodes(), THROUGH.min(asker.nodes())) {
            let question = Question { key, client, through, asked: Asked::Get, length: 0, last: true };
            reads.spawn_on(read(asker.clone(), question, Arc::clone(&gate), over), stub::runtime().handle());
        }
    }
    stub::wait(reads.join_all())
}

async fn read(asker: Asker, question: Question, gate: Arc<Semaphore>, over: Instant) -> Call {
    let _permit = gate.acquire_owned().await;
    loop {
        let call = asker.ask(question, WITHIN).await;
        if matches!(call.told, Told::Value(..) | Told::Absent) || Instant::now() > over {
            return call;
        }
        tokio::time::sleep(BETWEEN_ATTEMPTS).await;
    }
}
