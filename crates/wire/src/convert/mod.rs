//! Messages to domain types and back, one file for each .proto.

mod addr;
pub(crate) mod chord;
mod common;
mod control;
pub(crate) mod kelips;
pub(crate) mod membership;
pub(crate) mod pastry;
mod record;
mod record_calls;
mod sets;

pub use addr::read_addr;
pub(crate) use common::{identifier, read_envelope, refusal, to_envelope};
pub use control::CONTROL_PATH;
pub use record::{KEY_LEN_MAX, check_key};
