//! What goes over the wire, and how it becomes something that can be trusted.
//!
//! [`v1`] holds the messages that are generated from `proto/dht/v1`. Nothing beyond this crate
//! decides anything by them: a request is read into domain types first (`overlay`, `replica`,
//! [`records`]), and that reading checks everything (widths of identifiers, addresses, lengths of
//! lists, missing and unknown values) and refuses with the field's name, as [`Malformed`].
//!
//! - [`WireForm`]: a domain value and its message.
//! - [`Call`]: a request between nodes, its gRPC path and its reply, to bytes and back.
//! - [`WireProtocol`]: what an overlay protocol adds to be spoken over the wire.
//! - [`TableReader`]: a node's routing state, read back from what it shows.
//!
//! There is no gRPC here, only messages: the simulator counts bytes with it.

mod call;
mod convert;
mod form;
mod malformed;
mod protocol;
pub mod records;
mod table;

pub use call::{Call, Here, StorageEnvelope};
pub use convert::{CONTROL_PATH, KEY_LEN_MAX, check_key, read_addr};
pub use form::WireForm;
pub use malformed::{Malformed, Rejected};
pub use protocol::WireProtocol;
pub use table::TableReader;

/// The generated messages, package `dht.v1`.
#[allow(missing_docs, clippy::all, reason = "generated; the documentation is in the .proto files")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/dht.v1.rs"));
}

/// The encoded descriptor of package `dht.v1`, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/dht.v1.descriptors.bin"));
