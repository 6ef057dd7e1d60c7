//! Hard-coded topologies.

use super::{Policy, Topology, TopologyError};

impl Topology {
    /// Reads a hard-coded topology, in the spelling of native clients (snake_case, keys as arrays of integers) or of JavaScript
    /// ones (camelCase, keys in base58).
    ///
    /// # Errors
    ///
    /// As [`Topology::from_answers`].
    pub fn from_document(json: &[u8], policy: &Policy<'_>) -> Result<Self, TopologyError> {
        todo!()
    }
}
