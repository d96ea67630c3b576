use ring::{Id, Space};

use crate::{NodeConfig, Overlay, Settings};

/// The overlay under test.
#[derive(Clone, Debug)]
pub struct Subject<P: Overlay> {
    /// The identifier space.
    pub space: Space,
    /// The protocol's parameters, the same at every node.
    pub protocol: P::Config,
    /// Timing of what every overlay shares.
    pub node: NodeConfig,
    /// The global truth: who of `members` owns `target`. Never called with no members.
    pub owner: fn(target: Id, members: &[Id]) -> Id,
}

impl<P: Overlay> Subject<P> {
    /// What the nodes compare when they meet.
    pub(crate) fn settings(&self) -> Settings {
        let settings = [("cluster", "test"), ("protocol", P::NAME), ("id_bits", &self.space.bits().to_string())];
        Settings(settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
    }
}
