//! What the story says of an overlay. The rest is the same for all of them, and told in words that fit all.

use crate::exit::{Failure, Result};
use crate::protocols::{self, Protocol};

/// The overlay that the demo runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tale {
    protocol: &'static Protocol,
    /// It was asked for, and not just taken because it comes first.
    named: bool,
}

impl Tale {
    /// Of this overlay, or of the first one.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(crate) fn of(name: Option<&str>) -> Result<Self> {
        let known: Vec<&str> = protocols::names().collect();
        let protocol = name.or(known.first().copied()).and_then(protocols::find);
        let protocol = protocol.ok_or_else(|| {
            let name = name.unwrap_or_default();
            Failure::usage(format!("--protocol: `{name}` is not one of those known here: {}", known.join(", ")))
        })?;
        Ok(Self { protocol, named: name.is_some() })
    }

    pub(crate) fn protocol(&self) -> &'static str {
        self.protocol.name
    }

    /// The owner of a key need not hold its record.
    pub(crate) fn owner_may_hold_nothing(&self) -> bool {
        self.protocol.pointers
    }

    /// Owners and copies can be told from identifiers alone: they are the next nodes of a ring, and routes along
    /// it are as short as they get once its fingers are.
    pub(crate) fn is_plain_ring(&self) -> bool {
        self.protocol.name == "chord"
    }

    /// The daemon's flags.
    pub(crate) fn flags(&self) -> Vec<&'static str> {
        let mut flags = Vec::new();
        if self.named {
            flags.extend(["--protocol", self.protocol.name]);
        }
        if self.is_plain_ring() {
            // Short lists, so that fingers have something to do even among five nodes; two is the least for three copies.
            flags.extend(["--successors", "2"]);
        }
        flags
    }

    pub(crate) fn opening(&self) -> String {
        if self.is_plain_ring() {
            return "Five processes form a Chord ring".to_owned();
        }
        format!("Five processes form an overlay, by the rules of {}", self.protocol.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn the_story_is_told_of_any_overlay_that_is_known() {
        assert_eq!(Tale::of(None).unwrap().protocol(), "chord");
        assert_eq!(Tale::of(None).unwrap().flags(), ["--successors", "2"]);
        for name in protocols::names() {
            let tale = Tale::of(Some(name)).unwrap();
            assert_eq!(tale.flags()[..2], ["--protocol", name]);
            assert_eq!(tale.opening().contains("Chord"), name == "chord");
        }
        let failure = Tale::of(Some("carp")).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.message.unwrap().contains("carp"));
    }
}
