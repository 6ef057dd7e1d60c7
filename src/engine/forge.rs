//! Sealing: from a fragment, or from nothing, to a packet that can leave.
//!
//! Everything that leaves goes through here at the moment it is needed, so it has the newest topology, and the work
//! done for cover is the work done for real traffic: one data packet, one ack packet, one end-to-end layer.

use alloc::vec::Vec;
use core::marker::PhantomData;

use rand_core::CryptoRng;

use super::config::Traffic;
use super::format::PacketFormat;
use crate::message::{self, AckContent, AckKey, Address, FragmentId, GatewayId, ReplyKey, ReplySurb};
use crate::sphinx::{Delay, MixPacket, PacketSize, RotationTag, SphinxError, Surb};
use crate::time::Duration;
use crate::topology::{Route, Topology, TopologyError};

/// What sealing needs, borrowed for a moment.
pub(super) struct Forge<'a, P> {
    pub(super) topology: &'a Topology,
    pub(super) ack_key: &'a AckKey,
    /// Our own address: acks, SURBs and cover lead there.
    pub(super) own: &'a Address,
    pub(super) traffic: &'a Traffic,
    pub(super) rng: &'a mut dyn CryptoRng,
    pub(super) format: PhantomData<fn() -> P>,
}

/// A packet ready to be wrapped in a frame.
pub(super) struct Sealed {
    pub(super) packet: MixPacket,
    /// The sum of the delays chosen for the way there and the ack's way back.
    pub(super) chosen: Duration,
}

/// A SURB of a peer, and what goes with it.
pub(super) struct HeldSurb {
    pub(super) key: ReplyKey,
    pub(super) surb: Surb,
    pub(super) rotation: RotationTag,
}

/// Why nothing was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SealError {
    /// The topology has no route there now; a newer one may.
    NoRoute,
    /// Nothing can ever be sealed for this recipient: its key yields no secret.
    Recipient,
}

impl<P: PacketFormat> Forge<'_, P> {
    /// Seals a fragment for a client known by its address.
    pub(super) fn for_address(&mut self, to: &Address, id: FragmentId, fragment: &[u8]) -> Result<Sealed, SealError> {
        self.forward(to, AckContent::Fragment(id), fragment)
    }

    /// Seals a loop cover packet: to ourselves, with an ack like any other.
    pub(super) fn cover(&mut self) -> Result<Sealed, SealError> {
        let content = message::cover_content(SIZE);
        self.forward(self.own, AckContent::Cover, &content)
    }

    /// Seals a fragment over a peer's SURB, which is used up.
    pub(super) fn over_surb(&mut self, held: HeldSurb, id: FragmentId, fragment: &[u8]) -> Result<Sealed, SealError> {
        let (mut plaintext, ack_delay) = self.ack_blob(AckContent::Fragment(id))?;
        plaintext.extend_from_slice(&P::seal_with(&held.key, fragment));
        let (first_hop, packet) = P::apply_surb(held.surb, SIZE, &plaintext).map_err(|_| SealError::Recipient)?;
        // The delays on the way were chosen by the SURB's maker; a multiple of our own mean stands in for them.
        let chosen = ack_delay + self.traffic.hop_delay * DELAYED_HOPS;
        Ok(Sealed { packet: MixPacket { rotation: held.rotation, first_hop, packet }, chosen })
    }

    /// Makes a SURB that leads to us, with a reply key.
    pub(super) fn surb(&mut self) -> Result<ReplySurb, SealError> {
        let route = route(self.topology, self.own.gateway(), self.rng)?;
        let (delays, _) = delays(self.traffic.hop_delay, self.rng);
        let destination = self.own.identity();
        let surb = P::make_surb(route.hops(), &delays, &destination, self.rng).map_err(sphinx_failed)?;
        Ok(ReplySurb { key: ReplyKey::random(self.rng), surb })
    }

    fn forward(&mut self, to: &Address, ack: AckContent, content: &[u8]) -> Result<Sealed, SealError> {
        let (mut plaintext, ack_delay) = self.ack_blob(ack)?;
        let sealed = P::seal_to(to.encryption_key(), content, self.rng).map_err(|_| SealError::Recipient)?;
        plaintext.extend_from_slice(&sealed);
        let (packet, delay) = self.packet(to, SIZE, self.traffic.hop_delay, &plaintext)?;
        Ok(Sealed { packet, chosen: delay + ack_delay })
    }

    /// The ack a packet carries: a packet of its own, back to us, released by the last gateway.
    fn ack_blob(&mut self, content: AckContent) -> Result<(Vec<u8>, Duration), SealError> {
        let sealed = P::seal_ack(self.ack_key, content, self.rng);
        let (ack, delay) = self.packet(self.own, PacketSize::Ack, self.traffic.ack_delay, &sealed)?;
        Ok((message::ack_blob(ack.first_hop, &ack.packet), delay))
    }

    fn packet(
        &mut self,
        to: &Address,
        size: PacketSize,
        mean: Duration,
        plaintext: &[u8],
    ) -> Result<(MixPacket, Duration), SealError> {
        let route = route(self.topology, to.gateway(), self.rng)?;
        let destination = to.identity();
        let (delays, sum) = delays(mean, self.rng);
        let hops = route.hops();
        let first_hop = hops.first().ok_or(SealError::NoRoute)?.address;
        let packet = P::build(size, hops, &delays, &destination, plaintext, self.rng).map_err(sphinx_failed)?;
        Ok((MixPacket { rotation: self.topology.rotation(), first_hop, packet }, sum))
    }
}

fn route<'a>(topology: &'a Topology, gateway: GatewayId, rng: &mut dyn CryptoRng) -> Result<Route<'a>, SealError> {
    topology.route_to(&gateway, rng).map_err(|_: TopologyError| SealError::NoRoute)
}

/// A delay for each hop, and their sum without the last hop's, which is never waited for.
fn delays(mean: Duration, rng: &mut dyn CryptoRng) -> ([Delay; HOPS], Duration) {
    let delays = core::array::from_fn(|_| Delay::sample(mean, rng));
    let sum = delays.iter().take(HOPS - 1).map(|delay| delay.to_duration()).sum();
    (delays, sum)
}

/// Node keys are checked when the topology is read, so what fails here is a route that cannot be used.
fn sphinx_failed(_: SphinxError) -> SealError {
    SealError::NoRoute
}

/// Every data and cover packet has this size.
pub(super) const SIZE: PacketSize = PacketSize::Regular;
/// Three mix nodes and the recipient's gateway.
const HOPS: usize = 4;
/// Hops that hold a packet back.
const DELAYED_HOPS: u32 = 3;
