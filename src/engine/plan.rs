//! What a message is cut into, as bytes: whoever holds them can have the same fragments sent by another client.

use alloc::vec::Vec;

use crate::limits;
use crate::message::{Content, Fragments, Repliable, Reply, SetId};

/// The first byte of every plan. It stands for the size of packets too: regular ones.
pub const PLAN_VERSION: u8 = 1;

/// The sets of a message that is cut, and the message as it was written: content, SURBs and body.
///
/// `version u8 ‖ count u16 ‖ set ids, u32 each ‖ the message`, numbers big endian.
pub struct Plan {
    fragments: Fragments,
    /// One bit for each fragment, the first the lowest of the first byte; those not there are not set.
    acked: Vec<u8>,
}

impl Plan {
    /// The bytes for these fragments.
    pub(super) fn write(fragments: &Fragments) -> Vec<u8> {
        let ids = fragments.set_ids();
        let mut plan = Vec::with_capacity(HEAD_LEN + ids.len() * SET_ID_LEN + fragments.message().len());
        plan.push(PLAN_VERSION);
        plan.extend_from_slice(&u16::try_from(ids.len()).unwrap_or(u16::MAX).to_be_bytes());
        ids.iter().for_each(|id| plan.extend_from_slice(&id.to_u32().to_be_bytes()));
        plan.extend_from_slice(fragments.message());
        plan
    }

    /// Reads a plan. `None`: damaged, of another version, or of a message that is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_LEN>()?;
        let [PLAN_VERSION, high, low] = *head else { return None };
        let (ids, message) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])) * SET_ID_LEN)?;
        if message.is_empty() || message.len() > limits::REASSEMBLED_LEN_MAX {
            return None;
        }
        let ids: Option<Vec<_>> =
            ids.as_chunks::<SET_ID_LEN>().0.iter().map(|id| SetId::new(u32::from_be_bytes(*id))).collect();
        let fragments = Fragments::with_set_ids(message.to_vec(), super::forge::SIZE, ids?).ok()?;
        Some(Self { fragments, acked: Vec::new() })
    }

    /// Its bytes, as they were read.
    pub fn to_bytes(&self) -> Vec<u8> {
        Self::write(&self.fragments)
    }

    /// The user's bytes in it. `None`: there are none, so no user has sent it.
    pub fn body(&self) -> Option<Vec<u8>> {
        match Content::parse(self.fragments.message().to_vec()).ok()? {
            Content::Plain(body)
            | Content::Repliable { data: Repliable::Data { body, .. }, .. }
            | Content::Reply(Reply::Data(body)) => Some(body),
            Content::Repliable { .. } | Content::Reply(_) => None,
        }
    }

    /// Which of its fragments were acknowledged, one bit for each, the first the lowest of the first byte.
    #[must_use]
    pub fn with_acked(self, acked: Vec<u8>) -> Self {
        Self { acked, ..self }
    }

    /// The number of fragments.
    pub fn count(&self) -> usize {
        self.fragments.count()
    }

    pub(super) fn into_parts(self) -> (Fragments, Vec<u8>) {
        (self.fragments, self.acked)
    }
}

const HEAD_LEN: usize = 3;
const SET_ID_LEN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(body: &[u8], ids: &[u32]) -> Fragments {
        let ids = ids.iter().map(|id| SetId::new(*id).unwrap()).collect();
        Fragments::with_set_ids(Content::plain(body), super::super::forge::SIZE, ids).unwrap()
    }

    #[test]
    fn exact_bytes() {
        let plan = Plan::write(&cut(b"hello", &[0x0102_0304]));
        assert_eq!(plan, [&[1, 0, 1, 1, 2, 3, 4][..], &Content::plain(b"hello")].concat());
    }

    #[test]
    fn what_is_read_is_cut_into_the_same_fragments() {
        let body: Vec<u8> = (0..1_000_000_u32).map(|at| at as u8).collect();
        let fragments = cut(&body, &[7, 9, 8]);
        let plan = Plan::parse(&Plan::write(&fragments)).unwrap();
        assert_eq!(plan.to_bytes(), Plan::write(&fragments));
        assert_eq!(plan.body().unwrap(), body);
        let again = plan.into_parts().0;
        assert_eq!(again.count(), fragments.count());
        assert!((0..fragments.count()).all(|index| again.fragment(index) == fragments.fragment(index)));
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let good = Plan::write(&cut(b"hello", &[5]));
        assert!(Plan::parse(&good).is_some());
        let with = |at: usize, byte: u8| {
            let mut plan = good.clone();
            plan[at] = byte;
            plan
        };
        // Another version, too few and too many sets, an id with its top bit set, an id of zero.
        for bad in [with(0, 2), with(2, 0), with(2, 2), with(3, 0x80), with(6, 0)] {
            assert!(Plan::parse(&bad).is_none());
        }
        for len in 0..=HEAD_LEN + SET_ID_LEN {
            assert!(Plan::parse(&good[..len]).is_none());
        }
    }

    #[test]
    fn a_request_for_surbs_is_no_message_of_a_user() {
        let bytes = [&[1, 0, 1, 0, 0, 0, 5][..], &[2, 1], &[0; 8]].concat();
        assert!(Plan::parse(&bytes).is_none_or(|plan| plan.body().is_none()));
    }
}
