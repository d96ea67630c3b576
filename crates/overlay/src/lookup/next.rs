use crate::{LocateError, Located, Peer};

/// What the lookup wants next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// Send this peer the protocol's lookup request.
    Ask(Peer),
    /// Route by this node's own tables and hand in the answer as its own.
    AskSelf,
    /// Nothing before [`super::Lookup::wake`] or the next answer.
    Wait,
    /// The owner has confirmed itself.
    Done(Located),
    /// Nobody could be found in time.
    Failed(LocateError),
}
