use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use client::{GetOptions, Record};
use serde::Serialize;

use super::PeerJson;
use crate::args::{ConsistencyArg, Format, KeyArg};
use crate::columns::Columns;
use crate::context::Context;
use crate::digits::Digits;
use crate::exit::{Exit, Failure, Result};
use crate::output::byte_size;

/// Read a record: its raw bytes on stdout
#[derive(Args, Debug)]
pub(crate) struct Get {
    #[command(flatten)]
    key: KeyArg,
    /// Write the value to a file, whole or not at all
    #[arg(long, value_name = "F")]
    out: Option<PathBuf>,
    /// Show what is known about the record instead of its value: version, expiry, who served it
    #[arg(long)]
    meta: bool,
    #[command(flatten)]
    pub(crate) consistency: ConsistencyArg,
}

#[derive(Serialize, Debug)]
struct Found {
    key: String,
    id: String,
    /// In base64; null where it went to a file.
    value: Option<String>,
    version: String,
    /// RFC 3339, UTC; null: never.
    expires_at: Option<String>,
    served_by: Option<PeerJson>,
}

impl Get {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let client = context.client()?;
        let options = GetOptions { consistency: self.consistency.asked() };
        let record = client.get_with(self.key.bytes()?, options).await.map_err(|error| match error {
            client::Error::NotFound => Failure::new(Exit::NotFound, format!("`{}` is not there", self.key.key)),
            error => error.into(),
        })?;
        if let Some(path) = &self.out {
            write_whole(path, &record.value)?;
        }
        match context.out.format {
            Format::Json => context.out.show(&self.found(&client, &record).await, |_, _| String::new()),
            Format::Text if self.meta => {
                let size = record.value.len() as u64;
                context.out.text(&meta_text(&self.found(&client, &record).await, size))
            }
            Format::Text if self.out.is_some() => Ok(()),
            Format::Text => context.out.bytes(&record.value),
        }
    }

    async fn found(&self, client: &client::Client, record: &Record) -> Found {
        let ids = record.served_by.iter().map(|peer| &peer.id[..]).chain([&record.id[..]]);
        let digits = Digits::of(client, ids).await;
        let served_by = record.served_by.as_ref();
        Found {
            key: self.key.key.clone(),
            id: digits.show(&record.id),
            value: self.out.is_none().then(|| STANDARD.encode(&record.value)),
            version: record.version.to_string(),
            expires_at: record.expires_at.map(moment),
            served_by: served_by.map(|peer| PeerJson { id: digits.show(&peer.id), addr: peer.addr.clone() }),
        }
    }
}

/// `2026-11-21T10:37:00.250Z`.
fn moment(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

fn meta_text(found: &Found, size: u64) -> String {
    let mut columns = Columns::bare();
    let mut line = |name: &str, value: String| columns.row([name.to_owned(), value]);
    line("key", found.key.clone());
    line("id", found.id.clone());
    line("size", byte_size(size));
    line("version", found.version.clone());
    line("expires", found.expires_at.clone().unwrap_or_else(|| "never".to_owned()));
    if let Some(peer) = &found.served_by {
        line("served by", format!("{} at {}", peer.id, peer.addr));
    }
    columns.render(0)
}

/// Writes beside the file and renames: whoever reads it sees the old contents or the new, nothing between.
fn write_whole(path: &Path, bytes: &[u8]) -> Result {
    let failed = |error: std::io::Error| Failure::file("write", path.display(), &error);
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // A pipe or a device is written to, not replaced.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return std::fs::write(path, bytes).map_err(failed);
    }
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.prefix(".dht-").tempfile_in(directory).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn found(expires_at: Option<String>) -> Found {
        Found {
            key: "fruit".into(),
            id: "2a".into(),
            value: Some(STANDARD.encode("apple")),
            version: "0000000000000001-00000000000000a7".into(),
            expires_at,
            served_by: Some(PeerJson { id: "2d".into(), addr: "127.0.0.1:7160".into() }),
        }
    }

    #[test]
    fn json_has_the_promised_fields_in_order() {
        let expected = r#"{"key":"fruit","id":"2a","value":"YXBwbGU=","version":"0000000000000001-00000000000000a7","expires_at":null,"served_by":{"id":"2d","addr":"127.0.0.1:7160"}}"#;
        assert_eq!(serde_json::to_string(&found(None)).unwrap(), expected);
    }

    #[test]
    fn a_moment_is_written_in_utc_with_milliseconds() {
        assert_eq!(moment(UNIX_EPOCH + Duration::from_millis(1_795_257_420_250)), "2026-11-21T10:37:00.250Z");
        assert!(meta_text(&found(Some("then".into())), 5).contains("expires    then\n"));
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        std::fs::write(&path, "before, and longer").unwrap();
        write_whole(&path, b"after").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"after");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(write_whole(&directory.path().join("no/such/place"), b"x").is_err());
    }
}
