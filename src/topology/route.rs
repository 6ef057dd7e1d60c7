//! Choosing routes.

use rand_core::CryptoRng;

use super::{Topology, TopologyError};
use crate::message::GatewayId;
use crate::sphinx::Hop;

/// Four hops: a mix node of each layer and the gateway that delivers.
#[derive(Clone)]
pub struct Route<'t>([Hop<'t>; 4]);

impl<'t> Route<'t> {
    /// The hops in the order of travel.
    pub fn hops(&self) -> &[Hop<'t>; 4] {
        &self.0
    }
}

impl Topology {
    /// A new route to `egress`: from each layer a node with equal chances, independent of every other route.
    ///
    /// Draws from `rng` one number for each layer in turn, and again where a number would make the chances unequal.
    ///
    /// # Errors
    ///
    /// [`TopologyError::UnknownGateway`], and [`TopologyError::EgressIsMixNode`] when it has a layer in this epoch.
    pub fn route_to(&self, egress: &GatewayId, rng: &mut dyn CryptoRng) -> Result<Route<'_>, TopologyError> {
        let Some(egress) = self.gateway(egress) else {
            let has_layer = self.layers.iter().flatten().any(|node| node.id == *egress);
            return Err(if has_layer { TopologyError::EgressIsMixNode } else { TopologyError::UnknownGateway });
        };
        let mut mix = |index: u8| {
            let node = pick(self.layer(usize::from(index)), rng).ok_or(TopologyError::LayerTooSmall(index + 1))?;
            Ok(Hop { address: node.address, key: &node.key })
        };
        Ok(Route([mix(0)?, mix(1)?, mix(2)?, Hop { address: egress.address, key: &egress.key }]))
    }
}

/// An element with equal chances; `None` of nothing.
fn pick<'t, T>(from: &'t [T], rng: &mut dyn CryptoRng) -> Option<&'t T> {
    let count = u32::try_from(from.len()).ok().filter(|count| *count > 0)?;
    // Numbers from the last, incomplete round of `count` are drawn again: they would favour the first elements.
    let rounds_end = u32::MAX - u32::MAX % count;
    loop {
        let drawn = rng.next_u32();
        if drawn < rounds_end {
            return from.get((drawn % count) as usize);
        }
    }
}
