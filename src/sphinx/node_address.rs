//! Where a node listens, as headers, ack blobs and mix packets write it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use alloc::vec::Vec;

use super::SphinxError;

/// The IP address and port of a node.
///
/// On the wire: a family byte (4 or 6), the port, the address; 7 or 19 bytes, in some places padded with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeAddress {
    /// An IPv4 socket.
    V4(Ipv4Addr, u16),
    /// An IPv6 socket.
    V6(Ipv6Addr, u16),
}

impl NodeAddress {
    /// The length of an IPv4 address without padding.
    pub const V4_LEN: usize = 7;
    /// The length of an IPv6 address without padding.
    pub const V6_LEN: usize = 19;

    /// The IP address.
    pub const fn ip(&self) -> IpAddr {
        match *self {
            Self::V4(ip, _) => IpAddr::V4(ip),
            Self::V6(ip, _) => IpAddr::V6(ip),
        }
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        match *self {
            Self::V4(_, port) | Self::V6(_, port) => port,
        }
    }

    /// The length of the unpadded form: 7 or 19.
    pub const fn encoded_len(&self) -> usize {
        match self {
            Self::V4(..) => Self::V4_LEN,
            Self::V6(..) => Self::V6_LEN,
        }
    }

    /// The unpadded form, as a mix packet for a gateway begins with it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.to_padded_19().to_vec();
        bytes.truncate(self.encoded_len());
        bytes
    }

    /// The form padded to 19 bytes, as an ack blob begins with it.
    pub fn to_padded_19(&self) -> [u8; 19] {
        let mut bytes = [0; 19];
        let [family, port_high, port_low, ip @ ..] = &mut bytes;
        [*port_high, *port_low] = self.port().to_be_bytes();
        match self {
            Self::V4(address, _) => {
                *family = 4;
                ip[..4].copy_from_slice(&address.octets());
            }
            Self::V6(address, _) => {
                *family = 6;
                *ip = address.octets();
            }
        }
        bytes
    }

    /// The form padded to 32 bytes, as headers and SURBs hold it.
    pub fn to_padded_32(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..19].copy_from_slice(&self.to_padded_19());
        bytes
    }

    /// Reads an address from the front of `bytes` and says how many it took; what follows is not looked at.
    ///
    /// # Errors
    ///
    /// [`SphinxError::Address`] when the family byte is neither 4 nor 6 or the bytes end too early.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), SphinxError> {
        match *bytes {
            [4, p0, p1, a, b, c, d, ..] => {
                Ok((Self::V4(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p0, p1])), Self::V4_LEN))
            }
            [6, p0, p1, ref rest @ ..] => match rest.first_chunk::<16>() {
                Some(ip) => Ok((Self::V6(Ipv6Addr::from(*ip), u16::from_be_bytes([p0, p1])), Self::V6_LEN)),
                None => Err(SphinxError::Address),
            },
            _ => Err(SphinxError::Address),
        }
    }
}

impl From<SocketAddr> for NodeAddress {
    fn from(socket: SocketAddr) -> Self {
        match socket.ip() {
            IpAddr::V4(ip) => Self::V4(ip, socket.port()),
            IpAddr::V6(ip) => Self::V6(ip, socket.port()),
        }
    }
}

impl From<NodeAddress> for SocketAddr {
    fn from(address: NodeAddress) -> Self {
        match address {
            NodeAddress::V4(ip, port) => Self::V4(SocketAddrV4::new(ip, port)),
            NodeAddress::V6(ip, port) => Self::V6(SocketAddrV6::new(ip, port, 0, 0)),
        }
    }
}
