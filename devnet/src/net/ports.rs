//! Ports on loopback that stay ours.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;
use tokio::net::TcpListener;

use super::node::{listen, system_rng};

/// Free ports are taken from here, below those that operating systems give to outgoing connections: a gateway that was
/// killed finds its port free again. Browsers block none of them.
const FREE: std::ops::Range<u16> = 20_000..32_000;

/// How many ports are tried before giving up.
const TRIES: usize = 200;

/// Opens listeners, those of an earlier run on the ports they had if these are free.
pub struct Ports {
    earlier: BTreeMap<String, u16>,
    used: BTreeMap<String, u16>,
    rng: ChaCha20Rng,
}

impl Ports {
    /// `earlier` are the ports of an earlier run by name of the listener.
    pub fn new(earlier: BTreeMap<String, u16>) -> Self {
        Self { earlier, used: BTreeMap::new(), rng: system_rng() }
    }

    /// Listens on the port that is wanted, or on a free one if that is 0.
    ///
    /// # Errors
    /// The port that is wanted is taken, or none was free.
    pub async fn listen(&mut self, name: &str, wanted: u16) -> io::Result<TcpListener> {
        let listener = self.open(name, wanted).await?;
        self.used.insert(name.to_owned(), listener.local_addr()?.port());
        Ok(listener)
    }

    async fn open(&mut self, name: &str, wanted: u16) -> io::Result<TcpListener> {
        if wanted != 0 {
            let taken = |error: io::Error| io::Error::new(error.kind(), format!("port {wanted}: {error}"));
            return listen(loopback(wanted)).await.map_err(taken);
        }
        if let Some(port) = self.earlier.get(name)
            && let Ok(listener) = TcpListener::bind(loopback(*port)).await
        {
            return Ok(listener);
        }
        for _ in 0..TRIES {
            let port = FREE.start + u16::try_from(self.rng.next_u32() % u32::from(FREE.end - FREE.start)).unwrap_or(0);
            if self.earlier.values().any(|earlier| *earlier == port) {
                continue;
            }
            if let Ok(listener) = TcpListener::bind(loopback(port)).await {
                return Ok(listener);
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "found no free port"))
    }

    /// The ports in use by name of the listener.
    pub fn used(&self) -> &BTreeMap<String, u16> {
        &self.used
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
