//! `dhtd verify-store`: is what lies in a data directory what was written?

use std::io::{self, Write};
use std::path::Path;

use store::Examined;

use crate::exit::Fatal;

/// Reads the whole store in `dir` and says on `out` what there is; fails if any of it is damaged.
pub fn verify_store(dir: &Path, out: &mut impl Write) -> Result<(), Fatal> {
    let examined = Examined::of(dir).map_err(|error| Fatal::config(error.to_string()))?;
    report(dir, &examined, out).map_err(|error| Fatal::other(format!("cannot write to stdout: {error}")))?;
    match examined.damaged {
        0 => Ok(()),
        damaged => Err(Fatal::other(format!(
            "verify-store: {damaged} entries of `{}` are damaged; move the directory away and start the node empty, the copies on other nodes fill it again",
            dir.display()
        ))),
    }
}

fn report(dir: &Path, examined: &Examined, out: &mut impl Write) -> io::Result<()> {
    let Examined { format, id_bits, groups, number, records, tombstones, bytes, damage, damaged } = examined;
    let number = number.map_or_else(|| "none".to_owned(), |number| format!("{number:016x}"));
    writeln!(out, "{}: format {format}, store {number}, {id_bits} bits, groups {groups}", dir.display())?;
    writeln!(out, "{records} records, {tombstones} tombstones, {bytes} bytes of keys and values")?;
    damage.iter().try_for_each(|what| writeln!(out, "damaged: {what}"))?;
    match damaged.saturating_sub(damage.len() as u64) {
        0 if *damaged == 0 => writeln!(out, "everything is as it was written"),
        0 => Ok(()),
        more => writeln!(out, "and {more} more"),
    }
}
