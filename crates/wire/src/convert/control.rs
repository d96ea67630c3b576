//! What is asked about sets: the control half of storage.proto, several questions in a call and an answer to each.

use bytes::Bytes;
use overlay::Refusal;
use prost::Message;
use replica::{Answer, Request, Response};
use ring::Space;

use super::common::text;
use super::record_calls::{read_storage_envelope, to_storage_envelope};
use super::refusal;
use super::sets::PIECES_MAX;
use crate::form::{list, message, messages, optional, required};
use crate::protocol::parse;
use crate::{Call, Here, Malformed, Rejected, StorageEnvelope, WireForm, v1};

/// The gRPC path of all questions about sets.
pub const CONTROL_PATH: &str = "/dht.v1.Storage/Control";
/// Questions in one call.
const QUESTIONS_MAX: usize = 256;

impl Call for Vec<Request> {
    type Envelope = StorageEnvelope;
    type Reply = Response;

    fn path(&self) -> &'static str {
        CONTROL_PATH
    }

    fn encode(&self, cluster: &str, envelope: &StorageEnvelope) -> Vec<u8> {
        let envelope = Some(to_storage_envelope(cluster, envelope));
        v1::ControlRequest { envelope, questions: messages(self) }.encode_to_vec()
    }

    fn decode(path: &str, body: Bytes, here: &Here) -> Result<(StorageEnvelope, Self), Rejected> {
        if path != CONTROL_PATH {
            return Err(Rejected::NoSuchMethod(path.to_owned()));
        }
        let message: v1::ControlRequest = parse(body)?;
        let envelope = read_storage_envelope(message.envelope, here)?;
        Ok((envelope, list("questions", message.questions, QUESTIONS_MAX, here.space)?))
    }

    fn encode_reply(_: &str, reply: &Result<Response, Refusal>) -> Option<Vec<u8>> {
        let message = match reply {
            Ok(Response { me, leaving, read_only, answers }) => v1::ControlResponse {
                refusal: None,
                me: Some(me.to_message()),
                leaving: *leaving,
                read_only: *read_only,
                answers: messages(answers),
            },
            Err(refusal) => v1::ControlResponse { refusal: Some(refusal.to_message()), ..Default::default() },
        };
        Some(message.encode_to_vec())
    }

    fn decode_reply(_: &str, body: Bytes, space: Space) -> Result<Result<Response, Refusal>, Malformed> {
        let mut message: v1::ControlResponse = parse(body)?;
        if let Some(refusal) = refusal(message.refusal.take(), space)? {
            return Ok(Err(refusal));
        }
        Ok(Ok(Response {
            me: required("me", message.me, space)?,
            leaving: message.leaving,
            read_only: message.read_only,
            answers: list("answers", message.answers, QUESTIONS_MAX, space)?,
        }))
    }
}

impl WireForm for Request {
    type Message = v1::Question;

    fn to_message(&self) -> v1::Question {
        use v1::question::*;
        let question = match self {
            Request::Sets { range, known } => {
                Question::Sets(Sets { range: Some(range.to_message()), known: messages(known) })
            }
            Request::Prepare { range, after, ballot } => Question::Prepare(Prepare {
                range: Some(range.to_message()),
                after: *after,
                ballot: Some(ballot.to_message()),
            }),
            Request::Accept { range, after, ballot, set } => Question::Accept(Accept {
                range: Some(range.to_message()),
                after: *after,
                ballot: Some(ballot.to_message()),
                set: Some(set.to_message()),
            }),
            Request::Install { range, set, before, whole } => Question::Install(Install {
                range: Some(range.to_message()),
                set: Some(set.to_message()),
                before: message(before),
                whole: *whole,
            }),
            Request::Learn { range, set } => {
                Question::Learn(Learn { range: Some(range.to_message()), set: Some(set.to_message()) })
            }
            Request::Register { range, number } => {
                Question::Register(Register { range: Some(range.to_message()), number: *number })
            }
            Request::Fetching { range, number } => {
                Question::Fetching(Fetching { range: Some(range.to_message()), number: *number })
            }
            Request::Synced { range, number } => {
                Question::Synced(Synced { range: Some(range.to_message()), number: *number })
            }
            Request::Leaving => Question::Leaving(v1::Empty {}),
        };
        v1::Question { question: Some(question) }
    }

    fn from_message(message: v1::Question, space: Space) -> Result<Self, Malformed> {
        use v1::question::Question;
        let range = |range| required("range", range, space);
        let set = |set| required("set", set, space);
        Ok(match message.question.ok_or_else(|| Malformed::missing("question"))? {
            Question::Sets(sets) => {
                Request::Sets { range: range(sets.range)?, known: list("known", sets.known, PIECES_MAX, space)? }
            }
            Question::Prepare(prepare) => Request::Prepare {
                range: range(prepare.range)?,
                after: prepare.after,
                ballot: required("ballot", prepare.ballot, space)?,
            },
            Question::Accept(accept) => Request::Accept {
                range: range(accept.range)?,
                after: accept.after,
                ballot: required("ballot", accept.ballot, space)?,
                set: set(accept.set)?,
            },
            Question::Install(install) => Request::Install {
                range: range(install.range)?,
                set: set(install.set)?,
                before: optional("before", install.before, space)?,
                whole: install.whole,
            },
            Question::Learn(learn) => Request::Learn { range: range(learn.range)?, set: set(learn.set)? },
            Question::Register(register) => {
                Request::Register { range: range(register.range)?, number: register.number }
            }
            Question::Fetching(fetching) => {
                Request::Fetching { range: range(fetching.range)?, number: fetching.number }
            }
            Question::Synced(synced) => Request::Synced { range: range(synced.range)?, number: synced.number },
            Question::Leaving(v1::Empty {}) => Request::Leaving,
        })
    }
}

impl WireForm for Answer {
    type Message = v1::Answer;

    fn to_message(&self) -> v1::Answer {
        use v1::answer::Answer as Form;
        let answer = match self {
            Answer::Pieces(pieces) => Form::Pieces(v1::Pieces { pieces: messages(pieces) }),
            Answer::Promised { accepted } => Form::Promised(v1::Promised { accepted: message(accepted) }),
            Answer::Accepted => Form::Accepted(v1::Empty {}),
            Answer::Done => Form::Done(v1::Empty {}),
            Answer::Learning => Form::Learning(v1::Empty {}),
            Answer::Learnt { number } => Form::Learnt(*number),
            Answer::No(why) => Form::No(why.clone()),
        };
        v1::Answer { answer: Some(answer) }
    }

    fn from_message(message: v1::Answer, space: Space) -> Result<Self, Malformed> {
        use v1::answer::Answer as Form;
        Ok(match message.answer.ok_or_else(|| Malformed::missing("answer"))? {
            Form::Pieces(pieces) => Answer::Pieces(list("pieces.pieces", pieces.pieces, PIECES_MAX, space)?),
            Form::Promised(promised) => {
                Answer::Promised { accepted: optional("promised.accepted", promised.accepted, space)? }
            }
            Form::Accepted(_) => Answer::Accepted,
            Form::Done(_) => Answer::Done,
            Form::Learning(_) => Answer::Learning,
            Form::Learnt(number) => Answer::Learnt { number },
            Form::No(why) => Answer::No(text("no", why)?),
        })
    }
}
