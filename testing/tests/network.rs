//! The network without clients that speak: links, modes, documents. `tests/js/real` runs real clients on it.

use mixlet::time::{Duration, Instant};
use mixlet::topology::{Policy, Topology};
use mixlet_devnet::faults::Faults;
use mixlet_testing::{Frame, Layout, LinkNumber, Mode, Network, News};

const UNIX_MS: u64 = 1_780_000_123_000;

fn network(gateways: u32) -> Network {
    Network::new(Layout { gateways, mixes_per_layer: 2, seed: 1 }, UNIX_MS)
}

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

/// Runs until `millis` and gives the news.
fn news(network: &mut Network, millis: u64) -> Vec<(LinkNumber, News)> {
    while network.run(at(millis), UNIX_MS, 10).is_some_and(|next| next <= at(millis)) {}
    std::iter::from_fn(|| network.poll_news()).collect()
}

#[test]
fn the_document_is_a_topology_with_all_nodes_and_urls() {
    let network = network(3);
    let policy = Policy { public: false, ..Policy::default() };
    let topology = Topology::from_document(network.document().to_string().as_bytes(), &policy).unwrap();
    let urls: Vec<_> = topology.gateways().filter_map(|gateway| gateway.url(true)).collect();
    let listed = network.gateways();
    let listed: Vec<_> = listed.as_array().unwrap().iter().map(|entry| entry["url"].as_str().unwrap()).collect();
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|url| urls.iter().any(|known| known == url)), "{listed:?} {urls:?}");
    assert_eq!(topology.layer_counts(), [2, 2, 2]);
}

#[test]
fn the_same_seed_gives_the_same_network() {
    let other = Network::new(Layout { gateways: 1, mixes_per_layer: 2, seed: 2 }, UNIX_MS);
    assert_eq!(network(1).document(), network(1).document());
    assert_ne!(network(1).document(), other.document());
}

#[test]
fn links_open_end_and_are_refused_as_the_gateway_is() {
    let mut network = network(2);
    let link = network.open(1, at(0));
    assert_eq!(news(&mut network, 0), [(link, News::Opened)]);
    network.set_mode(1, Mode::Down, at(1));
    assert_eq!(news(&mut network, 1), [(link, News::Closed)]);
    let refused = network.open(1, at(2));
    assert_eq!(news(&mut network, 2), [(refused, News::Closed)]);
    let other = network.open(0, at(2));
    assert_eq!(news(&mut network, 2), [(other, News::Opened)]);
    network.set_mode(1, Mode::Running, at(3));
    let again = network.open(1, at(3));
    assert_eq!(news(&mut network, 3), [(again, News::Opened)]);
    network.restart(1, true, at(4));
    assert_eq!(news(&mut network, 4), [(again, News::Closed)]);
    let nowhere = network.open(9, at(5));
    assert_eq!(news(&mut network, 5), [(nowhere, News::Closed)]);
}

#[test]
fn a_paused_gateway_answers_when_it_goes_on() {
    let mut network = network(1);
    network.set_mode(0, Mode::Paused, at(0));
    let link = network.open(0, at(0));
    assert_eq!(news(&mut network, 1000), []);
    network.set_mode(0, Mode::Running, at(1000));
    assert_eq!(news(&mut network, 1000), [(link, News::Opened)]);
    // One that is closed while the gateway stands still is never heard of again.
    network.set_mode(0, Mode::Paused, at(2000));
    let given_up = network.open(0, at(2000));
    network.close(given_up, at(2000));
    assert_eq!(news(&mut network, 2000), []);
    network.set_mode(0, Mode::Down, at(2000));
    assert!(!news(&mut network, 2000).contains(&(given_up, News::Opened)));
}

#[test]
fn latency_holds_for_links_and_a_shorter_one_lets_nothing_overtake() {
    let mut network = network(1);
    let slow = Faults { latency: Duration::from_millis(100), ..Faults::default() };
    network.set_faults(slow).unwrap();
    let link = network.open(0, at(0));
    assert_eq!(news(&mut network, 199), []);
    assert_eq!(news(&mut network, 200), [(link, News::Opened)]);
    network.write(link, Frame::Text("nonsense".into()), at(200));
    network.set_faults(Faults::default()).unwrap();
    network.close(link, at(200));
    // The frame is still on its way, and the goodbye behind it.
    assert_eq!(news(&mut network, 299), []);
    assert_eq!(network.counts()["links"][0]["open"], true);
    news(&mut network, 300);
    assert_eq!(network.counts()["links"][0]["open"], false);
}

#[test]
fn silent_connections_are_dropped_in_time() {
    let mut network = network(1);
    let link = network.open(0, at(0));
    assert_eq!(news(&mut network, 0), [(link, News::Opened)]);
    // It is told why first.
    assert_eq!(news(&mut network, 9_999), []);
    let end = news(&mut network, 10_000);
    assert!(matches!(end.as_slice(), [(_, News::Frame(Frame::Text(_))), (last, News::Closed)] if *last == link));
}
