//! What reaches the driver's task from handlers and jobs.

use std::time::Duration;

use overlay::{Addr, Announcement, Departure, Failure, LocateError, Located, Peer, RingId};
use replica::{CallId, JobId, LeaveProgress, Member, Request, Response, Set};
use ring::{Id, Range};
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait for the driver; past that the answer is *busy*.
pub(crate) const REQUESTS_WAITING_MAX: usize = 4_096;

/// An input that is the same for every protocol.
#[derive(Debug)]
pub(crate) enum Input {
    /// Find an identifier's owner.
    Locate { target: Id, reply: oneshot::Sender<Result<Located, LocateError>> },
    /// A peer's question about this ring's sets.
    Control { ring: Option<RingId>, from: Member, requests: Vec<Request>, reply: oneshot::Sender<Response> },
    /// A call about sets ended.
    ControlEnd { call: CallId, result: Result<Response, Failure> },
    /// A job ended; when it was begun, by the hybrid clock.
    JobEnd { job: JobId, result: Result<u64, String> },
    /// The lookup that the sets asked for ended.
    Located { target: Id, owner: Option<Peer> },
    /// A storage call did or did not reach a peer.
    Evidence { peer: Peer, result: Result<(), Failure> },
    /// Somebody knows a newer set of this ring.
    Newer { ring: Option<RingId>, range: Range, set: Set },
    /// A learner missed a write; answered once no handler counts on it any more, with `false` if it is too late for that.
    DropLearner { range: Range, number: u64, learner: Member, done: oneshot::Sender<bool> },
    /// A member missed a write.
    Lagging { range: Range, number: u64, member: Member },
    /// What an overlay that keeps pointers is told of records.
    Announce(Announcement),
    /// The seeds' names were resolved again.
    Seeds(Vec<Addr>),
    /// This machine has another address now.
    Moved(Addr),
    /// Look at the ring behind an address.
    Meet { addr: Addr, met: oneshot::Sender<Result<String, String>> },
    /// Hand everything over.
    Leave,
    /// How far that is.
    LeaveProgress(oneshot::Sender<LeaveProgress>),
    /// Tell the neighbours and be gone.
    Depart(Departure),
}

/// The way into the driver's task. Bounded where strangers can fill it; what ends our own calls is
/// bounded by the calls.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    requests: mpsc::Sender<Input>,
    ends: mpsc::UnboundedSender<Input>,
}

/// The driver's end of it.
#[derive(Debug)]
pub(crate) struct InboxReader {
    pub(crate) requests: mpsc::Receiver<Input>,
    pub(crate) ends: mpsc::UnboundedReceiver<Input>,
}

/// The driver's queue is full, or the driver is gone.
#[derive(Debug)]
pub(crate) struct Busy;

impl Inbox {
    pub(crate) fn new() -> (Self, InboxReader) {
        let (requests, requests_reader) = mpsc::channel(REQUESTS_WAITING_MAX);
        let (ends, ends_reader) = mpsc::unbounded_channel();
        (Self { requests, ends }, InboxReader { requests: requests_reader, ends: ends_reader })
    }

    /// Ask, or be told that too many ask already.
    pub(crate) fn ask(&self, input: Input) -> Result<(), Busy> {
        self.requests.try_send(input).map_err(|_| Busy)
    }

    /// Tell what became of something that the node itself began.
    pub(crate) fn tell(&self, input: Input) {
        // The driver goes away only when the process does.
        let _ = self.ends.send(input);
    }

    pub(crate) async fn locate(&self, target: Id) -> Result<Located, LocateError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Input::Locate { target, reply }).map_err(|Busy| LocateError::Joining)?;
        answer.await.unwrap_or(Err(LocateError::Joining))
    }

    pub(crate) async fn control(
        &self,
        ring: Option<RingId>,
        from: Member,
        requests: Vec<Request>,
    ) -> Result<Response, Busy> {
        let (reply, answer) = oneshot::channel();
        self.ask(Input::Control { ring, from, requests, reply })?;
        answer.await.map_err(|_| Busy)
    }

    /// What a look at the ring behind an address comes to; none if that takes longer.
    pub(crate) async fn meet(&self, addr: Addr, within: Duration) -> Option<Result<String, String>> {
        let (met, outcome) = oneshot::channel();
        self.tell(Input::Meet { addr, met });
        tokio::time::timeout(within, outcome).await.ok()?.ok()
    }

    /// Returns once no handler counts on the learner any more; `false` if it may be in a later set already, and
    /// the write that it missed must not be acknowledged.
    pub(crate) async fn drop_learner(&self, range: Range, number: u64, learner: Member) -> bool {
        let (done, dropped) = oneshot::channel();
        self.tell(Input::DropLearner { range, number, learner, done });
        dropped.await.unwrap_or(false)
    }

    pub(crate) async fn leave_progress(&self) -> Option<LeaveProgress> {
        let (reply, answer) = oneshot::channel();
        self.tell(Input::LeaveProgress(reply));
        answer.await.ok()
    }
}
