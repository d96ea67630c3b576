use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tonic::{Response, Status};

use super::{Client, Resend};
use crate::{Config, Error};

/// What the endpoints answer, one call after the other.
type Script = Mutex<Vec<Result<&'static str, Status>>>;

fn script(answers: impl IntoIterator<Item = Result<&'static str, Status>>) -> Script {
    let mut answers: Vec<_> = answers.into_iter().collect();
    answers.reverse();
    Mutex::new(answers)
}

async fn play(client: &Client, resend: Resend, script: &Script) -> Result<String, Error> {
    let call = |_, _| async move {
        let next = script.lock().unwrap().pop();
        next.expect("a call that the script does not know of").map(Response::new)
    };
    let (answer, endpoint) = client.attempt(resend, call).await?;
    Ok(format!("{answer} of {endpoint}"))
}

fn three() -> Client {
    Client::new(["a:1", "b:2", "c:3"]).unwrap()
}

fn unavailable(reason: &'static str, outcome_unknown: bool) -> Status {
    let mut status = Status::unavailable("can not");
    status.metadata_mut().insert("dht-reason", reason.parse().unwrap());
    if outcome_unknown {
        status.metadata_mut().insert("dht-outcome", "unknown".parse().unwrap());
    }
    status
}

#[tokio::test]
async fn the_next_endpoint_is_asked_and_stays_the_first_to_be_asked() {
    let client = three();
    let script = script([Err(unavailable("joining", false)), Ok("yes"), Ok("again")]);
    assert_eq!(play(&client, Resend::Always, &script).await.unwrap(), "yes of b:2");
    assert_eq!(play(&client, Resend::Always, &script).await.unwrap(), "again of b:2");
}

#[tokio::test]
async fn a_conditional_write_that_may_have_been_carried_out_is_not_sent_again() {
    let script = script([Err(unavailable("unreachable", true))]);
    let error = play(&three(), Resend::Unsent, &script).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error}");
}

#[tokio::test]
async fn a_conditional_write_that_was_not_carried_out_goes_to_the_next_endpoint() {
    let script = script([Err(unavailable("leaving", false)), Err(unavailable("unreachable", false)), Ok("yes")]);
    assert_eq!(play(&three(), Resend::Unsent, &script).await.unwrap(), "yes of c:3");
}

#[tokio::test]
async fn what_may_be_done_twice_is_sent_again_until_nobody_is_left() {
    let script = script([
        Err(unavailable("unreachable", true)),
        Err(unavailable("joining", false)),
        Err(unavailable("leaving", false)),
    ]);
    let error = play(&three(), Resend::Always, &script).await.unwrap_err();
    let Error::Unreachable(attempts) = error else { panic!("{error}") };
    assert_eq!(attempts.to_string(), "a:1 (can not), b:2 (can not), c:3 (can not)");
}

#[tokio::test]
async fn a_verdict_is_not_appealed_against() {
    for (status, error) in [
        (Status::not_found(""), Error::NotFound),
        (Status::invalid_argument("key"), Error::InvalidArgument("key".into())),
        (unavailable("quorum", true), Error::QuorumNotMet("can not".into())),
        (Status::permission_denied("you"), Error::PermissionDenied("you".into())),
    ] {
        assert_eq!(play(&three(), Resend::Always, &script([Err(status)])).await, Err(error));
    }
}

#[tokio::test]
async fn the_time_is_over_for_all_endpoints_together() {
    let timeout = Duration::from_millis(50);
    let client = Client::with_config(["a:1", "b:2"], Config { timeout, ..Config::default() }).unwrap();
    let call = |_, _| std::future::pending::<Result<Response<()>, Status>>();
    let start = Instant::now();
    let error = client.attempt(Resend::Always, call).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(start.elapsed() >= timeout);
    let error = client.attempt(Resend::Unsent, call).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error}");
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_passed_over() {
    let client = Client::new([nobody().await, nobody().await]).unwrap();
    let condition = Some(crate::Condition::IfAbsent);
    let options = crate::PutOptions { condition, ..Default::default() };
    let error = client.put("key", "value", options).await.unwrap_err();
    let Error::Unreachable(attempts) = error else { panic!("{error}") };
    assert_eq!(attempts.0.len(), 2, "nothing was sent, so even a conditional write is tried at both");
    assert!(attempts.0.iter().all(|attempt| attempt.why == "connection refused"), "{attempts}");
}

#[tokio::test]
async fn an_endpoint_that_takes_connections_and_says_nothing_is_passed_over_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoints = [silent.local_addr().unwrap().to_string(), nobody().await];
    let config = Config { timeout: Duration::from_secs(4), ..Config::default() };
    let client = Client::with_config(endpoints, config).unwrap();
    let error = client.get("key").await.unwrap_err();
    let Error::Unreachable(attempts) = error else { panic!("{error}") };
    assert_eq!(attempts.0.len(), 2, "{attempts}");
}

#[tokio::test]
async fn a_message_past_the_limit_is_refused_before_it_is_sent() {
    let client = Client::with_config(["a:1"], Config { message_bytes_max: 1024, ..Config::default() }).unwrap();
    let error = client.put("key", vec![0; 1024], Default::default()).await.unwrap_err();
    assert!(matches!(&error, Error::InvalidArgument(message) if message.contains("1027 bytes")), "{error}");
}
