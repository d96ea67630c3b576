//! `dhtd verify-store`: is what lies in a data directory what was written?

use std::io::{self, Write};
use std::path::Path;

use store::{Examined, OpenError};

use crate::exit::Fatal;

/// Reads the whole store in `dir`, writes nothing there, and says on `out` what there is. Exit 1 if it is not sound, 2 if
/// it could not be looked at.
pub fn verify_store(dir: &Path, out: &mut impl Write) -> Result<(), Fatal> {
    let examined = Examined::of(dir).map_err(|error| {
        let message = format!("verify-store: {error}");
        match error {
            OpenError::Damaged { .. } => Fatal::other(message),
            _ => Fatal::config(message),
        }
    })?;
    report(dir, &examined, out).map_err(|error| Fatal::other(format!("cannot write to stdout: {error}")))?;
    match examined.damaged {
        0 => Ok(()),
        damaged => Err(Fatal::other(format!(
            "verify-store: `{}` is not sound: {} damaged or missing; move the directory away and start the node empty, the copies on other nodes fill it again",
            dir.display(),
            if damaged == 1 { "1 thing in it is".to_owned() } else { format!("{damaged} things in it are") },
        ))),
    }
}

fn report(dir: &Path, examined: &Examined, out: &mut impl Write) -> io::Result<()> {
    let Examined { format, id_bits, groups, read, number, records, tombstones, bytes, damage, damaged, .. } = examined;
    let number = number.map_or_else(|| "without a number".to_owned(), |number| format!("{number:016x}"));
    match read {
        true => {
            writeln!(out, "{}: format {format}, store {number}, {id_bits} bits, groups {groups}", dir.display())?;
            writeln!(out, "{records} records, {tombstones} tombstones, {bytes} bytes of keys and values")?;
        }
        false => {
            writeln!(out, "{}: format {format}, {id_bits} bits, groups {groups}", dir.display())?;
            writeln!(out, "too much is missing for its records to be read")?;
        }
    }
    damage.iter().try_for_each(|what| writeln!(out, "damaged: {what}"))?;
    match damaged.saturating_sub(damage.len() as u64) {
        0 if *damaged == 0 => writeln!(out, "everything is as it was written"),
        0 => Ok(()),
        more => writeln!(out, "and {more} more"),
    }
}
