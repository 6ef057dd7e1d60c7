//! The content of cover packets, which a client sends to itself.

use alloc::vec::Vec;

use super::fragment_room;
use crate::sphinx::PacketSize;

/// What cover begins with on the inside. Its first byte has the top bit clear, a fragment's has it set: the two cannot
/// be confused.
const COVER_PREFIX: &[u8; 18] = b"The cake is a lie!";

/// What a cover packet carries in place of a fragment, as long as one.
pub fn cover_content(size: PacketSize) -> Vec<u8> {
    let mut content = Vec::with_capacity(fragment_room(size));
    content.extend_from_slice(COVER_PREFIX);
    content.push(1);
    content.resize(fragment_room(size), 0);
    content
}

/// Whether what was opened is cover, to be counted and dropped.
pub fn is_cover(opened: &[u8]) -> bool {
    opened.starts_with(COVER_PREFIX)
}
