//! Waiting for something to come true.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::exit::{Failure, Result};

/// Asks again and again until there is an answer; a step that fails may work the next time. `what` is awaited, in words.
///
/// # Errors
/// When there is no answer within `patience`: with what the last step failed of.
pub(crate) async fn until<T, F, Fut>(what: &str, patience: Duration, mut step: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + patience;
    loop {
        let last = match step().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => None,
            Err(failure) => failure.message,
        };
        if Instant::now() > deadline {
            let why = last.map_or_else(String::new, |why| format!(": {why}"));
            let patience = humantime::format_duration(patience);
            return Err(Failure::other(format!("not as promised: no {what} after {patience}{why}")));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_step_that_fails_is_tried_again_and_the_last_failure_is_told() {
        let mut steps = [Err(Failure::other("not yet")), Ok(None), Ok(Some(7))].into_iter();
        let found = until("seven", Duration::from_secs(60), || std::future::ready(steps.next().unwrap()));
        assert_eq!(found.await, Ok(7));

        let never = || std::future::ready(Err::<Option<()>, _>(Failure::other("no way")));
        let failure = until("end", Duration::ZERO, never).await.unwrap_err();
        assert_eq!(failure.message.unwrap(), "not as promised: no end after 0s: no way");
    }
}
