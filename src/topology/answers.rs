//! The answers of a directory.

use super::{Policy, Topology, TopologyError};

/// A list of nodes that a directory gives in pages.
#[derive(Default)]
pub struct Pages {}

/// What is missing of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// Nothing.
    Nothing,
    /// The page with this number: the path with `page=` and this number.
    Page(u32),
}

impl Pages {
    /// No page yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next page, beginning with page 0.
    ///
    /// # Errors
    ///
    /// [`TopologyError::TooLong`], [`TopologyError::TooMany`], [`TopologyError::Malformed`], and
    /// [`TopologyError::Inconsistent`] when a page is of another epoch or rotation than the first.
    pub fn add(&mut self, body: &[u8]) -> Result<More, TopologyError> {
        todo!()
    }
}

impl Topology {
    /// A snapshot from the answers to the first three of [`super::PATHS`] and, if it was asked for, the fourth. Each list
    /// has to be complete on its first page, as all known directories have it; see [`Topology::from_pages`].
    ///
    /// # Errors
    ///
    /// [`TopologyError::Inconsistent`] deserves one more try at once. For [`TopologyError::is_suspicion`] see
    /// [`super::Patience`]. After any other the caller keeps what it has.
    pub fn from_answers(
        rewarded: &[u8],
        mixnodes: &[u8],
        entries: &[u8],
        rotation: Option<&[u8]>,
        policy: &Policy<'_>,
    ) -> Result<Self, TopologyError> {
        let (mut mixnode_pages, mut entry_pages) = (Pages::new(), Pages::new());
        if mixnode_pages.add(mixnodes)? != More::Nothing || entry_pages.add(entries)? != More::Nothing {
            return Err(TopologyError::MorePages);
        }
        Self::from_pages(rewarded, &mixnode_pages, &entry_pages, rotation, policy)
    }

    /// As [`Topology::from_answers`], from lists on several pages.
    ///
    /// # Errors
    ///
    /// As [`Topology::from_answers`]; [`TopologyError::MorePages`] when a list is not complete.
    pub fn from_pages(
        rewarded: &[u8],
        mixnodes: &Pages,
        entries: &Pages,
        rotation: Option<&[u8]>,
        policy: &Policy<'_>,
    ) -> Result<Self, TopologyError> {
        todo!()
    }
}
