use std::env;
use std::path::{Path, PathBuf};

use crate::exit::{Failure, Result};

/// The daemon's binary: the one that was named, or the one beside this binary, or the first in PATH.
pub(crate) fn find_dhtd(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        return if path.is_file() {
            Ok(path.to_owned())
        } else {
            Err(Failure::usage(format!("--dhtd {}: there is no such file", path.display())))
        };
    }
    let name = format!("dhtd{}", env::consts::EXE_SUFFIX);
    let beside = env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(&name)));
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path).map(|directory| directory.join(&name));
    beside.into_iter().chain(in_path).find(|candidate| candidate.is_file()).ok_or_else(|| {
        Failure::other(
            "there is no `dhtd` beside this binary nor in PATH: build it with `cargo build --release`, or name it with --dhtd",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_binary_that_is_named_has_to_be_there() {
        let failure = find_dhtd(Some(Path::new("/no/such/dhtd"))).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
    }
}
