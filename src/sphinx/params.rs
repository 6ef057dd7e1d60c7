//! Sizes of the packet format, each derived from the ones before it.

/// The security parameter of the format: MACs, seeds and the zero prefix of a payload have this length.
pub const SECURITY_LEN: usize = 16;
/// The longest route a header can hold.
pub const HOPS_MAX: usize = 5;
/// A Montgomery u-coordinate.
pub const GROUP_ELEMENT_LEN: usize = 32;
/// A header MAC.
pub const MAC_LEN: usize = SECURITY_LEN;
/// An address inside a header: of the next node, or of the destination.
pub const ADDRESS_LEN: usize = 32;
/// The identifier behind the destination; always zero in packets of this network.
pub const IDENTIFIER_LEN: usize = 16;
/// What one hop takes from the routing information: flag, version, address, delay and the next MAC.
pub const BLOCK_LEN: usize = 1 + 3 + ADDRESS_LEN + 8 + MAC_LEN;
/// What the last hop reads: flag, version, destination and identifier.
pub const FINAL_BLOCK_LEN: usize = 1 + 3 + ADDRESS_LEN + IDENTIFIER_LEN;
/// The encrypted routing information.
pub const ROUTING_LEN: usize = HOPS_MAX * BLOCK_LEN;
/// The key stream of one hop: routing information and the block that moves in behind it.
pub const KEY_STREAM_LEN: usize = ROUTING_LEN + BLOCK_LEN;
/// A whole header: group element, MAC, routing information.
pub const HEADER_LEN: usize = GROUP_ELEMENT_LEN + MAC_LEN + ROUTING_LEN;
/// What padding adds to a plaintext at least: the zero prefix and the marker.
pub const PAYLOAD_OVERHEAD_LEN: usize = SECURITY_LEN + 1;
/// The seed of a payload key.
pub const PAYLOAD_SEED_LEN: usize = SECURITY_LEN;
/// A payload key.
pub const PAYLOAD_KEY_LEN: usize = 32 + 64 + 32 + 64;
/// The wide-block cipher needs one byte more than its left half.
pub const PAYLOAD_LEN_MIN: usize = 33;

const _: () = assert!(BLOCK_LEN == 60 && FINAL_BLOCK_LEN == 52 && HEADER_LEN == 348 && KEY_STREAM_LEN == 360);

/// The five packet sizes of the network, in the order of their length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PacketSize {
    /// Carries the content of an ack.
    Ack,
    /// Carries one fragment of 2 kB.
    Regular,
    /// Carries one fragment of 8 kB.
    Extended8,
    /// Carries one fragment of 16 kB.
    Extended16,
    /// Carries one fragment of 32 kB.
    Extended32,
}

impl PacketSize {
    /// All sizes, from the smallest to the largest.
    pub const ALL: [Self; 5] = [Self::Ack, Self::Regular, Self::Extended8, Self::Extended16, Self::Extended32];

    /// What fits in, in bytes, padding not counted.
    pub const fn plaintext_len(self) -> usize {
        match self {
            Self::Ack => 21,
            Self::Regular => 2 << 10,
            Self::Extended8 => 8 << 10,
            Self::Extended16 => 16 << 10,
            Self::Extended32 => 32 << 10,
        }
    }

    /// The padded payload behind the header.
    pub const fn payload_len(self) -> usize {
        self.plaintext_len() + PAYLOAD_OVERHEAD_LEN
    }

    /// Header and payload.
    pub const fn packet_len(self) -> usize {
        HEADER_LEN + self.payload_len()
    }

    /// The byte that names this size in a frame between nodes. Its order is not the order of sizes.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Regular => 1,
            Self::Ack => 2,
            Self::Extended32 => 3,
            Self::Extended8 => 4,
            Self::Extended16 => 5,
        }
    }

    /// The size that a frame's byte names.
    pub const fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            1 => Some(Self::Regular),
            2 => Some(Self::Ack),
            3 => Some(Self::Extended32),
            4 => Some(Self::Extended8),
            5 => Some(Self::Extended16),
            _ => None,
        }
    }

    /// The size whose packets have exactly this length.
    pub const fn from_packet_len(len: usize) -> Option<Self> {
        match len {
            386 => Some(Self::Ack),
            2413 => Some(Self::Regular),
            8557 => Some(Self::Extended8),
            16749 => Some(Self::Extended16),
            33133 => Some(Self::Extended32),
            _ => None,
        }
    }
}

const _: () = {
    let mut i = 0;
    while i < PacketSize::ALL.len() {
        let size = PacketSize::ALL[i];
        assert!(matches!(PacketSize::from_packet_len(size.packet_len()), Some(found) if found as u8 == size as u8));
        assert!(matches!(PacketSize::from_tag(size.tag()), Some(found) if found as u8 == size as u8));
        i += 1;
    }
};
