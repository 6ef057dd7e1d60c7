//! What a directory says, and hard-coded topologies.

use std::sync::LazyLock;

use mixlet::topology::{More, Pages, Policy, Schedule, Topology};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::laws::input::Input;
use crate::laws::network::Network;

/// The four answers, with a zero byte between them, which JSON cannot contain.
pub fn directory(data: &[u8]) {
    let mut input = Input(data);
    let options = input.byte();
    let answers: [&[u8]; 4] = core::array::from_fn(|_| input.until(0));
    let [rewarded, mixnodes, entries, rotation] = answers;
    let rotation = (options & 1 == 0).then_some(rotation);
    if let Ok(topology) = Topology::from_answers(rewarded, mixnodes, entries, rotation, &policy(options)) {
        check(&topology, options);
        assert_eq!(
            topology.schedule().is_some(),
            rotation.is_some() || options & 8 != 0 && topology.schedule().is_some()
        );
    }
    // The same lists in pieces: a list may go on, but it ends.
    let mut pages = Pages::new();
    let mut asked = 0;
    for page in answers.iter().cycle().take(12) {
        match pages.add(page) {
            Ok(More::Nothing) => break,
            Ok(More::Page(next)) => {
                asked += 1;
                assert_eq!(next, asked);
            }
            Err(_) => {}
        }
    }
    let _ = Topology::from_pages(rewarded, &pages, &pages, rotation, &policy(options));
}

pub fn document(data: &[u8]) {
    let mut input = Input(data);
    let options = input.byte();
    if let Ok(topology) = Topology::from_document(input.0, &policy(options)) {
        check(&topology, options);
        assert!(topology.schedule().is_none());
    }
}

pub fn schedule(data: &[u8]) {
    let mut input = Input(data);
    let (epoch, unix) = (input.u32(), input.u64());
    let Ok(schedule) = Schedule::parse(input.0) else { return };
    let rotation = schedule.rotation_of(epoch);
    assert!(epoch < schedule.initial_epoch || schedule.rotation_start(rotation) <= epoch);
    let next = schedule.rotation_start(rotation.saturating_add(1));
    assert!(next > epoch.max(schedule.initial_epoch) || next == u32::MAX || rotation == u32::MAX);
    // Epochs begin one after the other, and the one it is at a time has begun by then.
    assert!(schedule.epoch_start(epoch) <= schedule.epoch_start(epoch.saturating_add(1)));
    let current = schedule.epoch_at(unix);
    assert!(current >= schedule.reference_epoch);
    assert!(unix < schedule.reference_start || schedule.epoch_start(current) <= unix);
    assert!(schedule.epoch_at(unix.saturating_add(1)) >= current);
}

fn policy(options: u8) -> Policy<'static> {
    Policy {
        public: options & 2 != 0,
        minimum_performance: if options & 4 == 0 { 0 } else { 50 },
        previous: (options & 8 != 0).then_some(&*BEFORE),
        patience_over: options & 16 != 0,
    }
}

/// Whatever was accepted can be used: full layers, routes through nodes of the right layer, URLs that are URLs.
fn check(topology: &Topology, options: u8) {
    let least = if options & 2 == 0 { 1 } else { 3 };
    assert!(topology.layer_counts().iter().all(|count| *count >= least));
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let ids: std::collections::BTreeSet<_> =
        (0..3).flat_map(|index| topology.layer(index)).map(|node| node.id).collect();
    assert_eq!(ids.len(), topology.layer_counts().iter().sum::<usize>(), "an identity twice");
    for gateway in topology.gateways() {
        assert!(!ids.contains(&gateway.id), "a gateway with a layer");
        let route = topology.route_to(&gateway.id, &mut rng).expect("a route to a known gateway");
        let [mixes @ .., last] = route.hops();
        for (index, hop) in mixes.iter().enumerate() {
            assert!(topology.layer(index).iter().any(|node| node.address == hop.address && &node.key == hop.key));
        }
        assert!(topology.is_first_layer(mixes[0].address));
        assert_eq!(last.address, gateway.address);
        assert!(gateway.performance <= 100);
        for (secure, url) in [true, false].map(|secure| (secure, gateway.url(secure))) {
            let Some(url) = url else { continue };
            let rest = url.strip_prefix("wss://").or(url.strip_prefix("ws://").filter(|_| !secure)).expect("a scheme");
            let (host, port) = rest.rsplit_once(':').expect("a port");
            assert!(port.parse::<u16>().is_ok_and(|port| port > 0));
            assert!(host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte)), "{url}");
        }
    }
}

static BEFORE: LazyLock<Topology> = LazyLock::new(|| {
    let policy = Policy { public: false, ..Policy::default() };
    Topology::from_document(Network::get().document().as_bytes(), &policy).expect("a network")
});
