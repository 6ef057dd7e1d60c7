//! Mix node and gateway fed by hand: no sockets, no clock.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use mixlet::gateway::client::{Registering, Step, login_request};
use mixlet::gateway::{ClientText, IdentityKeypair, ServerText, SharedKey, open_push, seal_request};
use mixlet::message::ack_blob;
use mixlet::sphinx::{
    Delay, Destination, Hop, MixPacket, NodeAddress, NodeFrame, NodePrivateKey, NodePublicKey, Packet, PacketSize,
    RotationTag, build,
};
use mixlet::time::{Duration, Instant};
use mixlet_devnet::gateway::{Gateway, Output, Parts};
use mixlet_devnet::keyring::Rotations;
use mixlet_devnet::mix::{MixNode, Peers};
use mixlet_devnet::record::{ClientName, ConnectionId, DropReason, Fingerprint, NodeName, What};
use mixlet_devnet::state::{Change, Saved};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const ZERO: Instant = Instant::ZERO;
const NOW: u64 = 1_779_000_000;
const ONE: Rotations = Rotations { primary: 1, secondary: None };

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn key(rotation: u32) -> NodePrivateKey {
    NodePrivateKey::from_bytes([rotation as u8 + 1; 32])
}

fn address(port: u16) -> NodeAddress {
    NodeAddress::V4([127, 0, 0, 1].into(), port)
}

/// Nodes on ports 1 to 9.
fn peers() -> Peers {
    Arc::new((1..10).map(|port| (address(port), NodeName::Mix(port.into()))).collect::<BTreeMap<_, _>>())
}

fn mix_node(rotations: Rotations) -> MixNode {
    let mut node = MixNode::new(peers());
    node.hold_keys(rotations, key);
    node
}

/// A packet for a node with the key of a rotation that passes it on to `next`.
fn forward_packet(rotation: u32, next: NodeAddress, delay: Duration, seed: u64) -> NodeFrame {
    let keys = [key(rotation).public(), key(99).public()];
    let route = [Hop { address: address(1), key: &keys[0] }, Hop { address: next, key: &keys[1] }];
    let delays = [Delay::from_nanos(delay.as_nanos() as u64), Delay::ZERO];
    let plaintext = [7; 21];
    let packet = build(PacketSize::Ack, &route, &delays, &Destination([0; 32]), &plaintext, &mut rng(seed)).unwrap();
    NodeFrame { rotation: RotationTag::from_rotation_id(rotation), packet }
}

fn millis(count: u64) -> Instant {
    ZERO + Duration::from_millis(count)
}

#[test]
fn a_packet_leaves_when_its_delay_has_passed_and_not_before() {
    let mut node = mix_node(ONE);
    let frame = forward_packet(1, address(2), Duration::from_millis(30), 1);
    let arrived = Fingerprint::of(frame.packet.as_bytes());
    node.handle_frame(frame, millis(5)).unwrap();
    assert_eq!(node.poll_timeout(), Some(millis(35)));
    assert!(node.poll_transmit(millis(34)).is_none());
    let departure = node.poll_transmit(millis(35)).unwrap();
    assert_eq!((departure.to, departure.to_name, departure.arrived), (address(2), NodeName::Mix(2), arrived));
    assert_eq!((departure.asked, departure.since), (Duration::from_millis(30), millis(5)));
    assert_eq!(departure.frame.rotation, RotationTag::Odd);
    assert!(node.poll_transmit(millis(99)).is_none() && node.poll_timeout().is_none());
}

#[test]
fn packets_leave_in_the_order_of_their_deadlines() {
    let mut node = mix_node(ONE);
    for (seed, (port, delay)) in [(2, 50), (3, 10), (4, 0)].into_iter().enumerate() {
        let frame = forward_packet(1, address(port), Duration::from_millis(delay), seed as u64);
        node.handle_frame(frame, ZERO).unwrap();
    }
    let left: Vec<_> = std::iter::from_fn(|| node.poll_transmit(millis(60))).map(|it| it.to.port()).collect();
    assert_eq!(left, [4, 3, 2]);
}

#[test]
fn a_delay_of_centuries_is_cut_to_ten_seconds() {
    let mut node = mix_node(ONE);
    let frame = forward_packet(1, address(2), Duration::from_nanos(u64::MAX), 1);
    node.handle_frame(frame, millis(1)).unwrap();
    assert_eq!(node.poll_timeout(), Some(millis(10_001)));
}

#[test]
fn a_packet_is_dropped_the_second_time() {
    let mut node = mix_node(ONE);
    let frame = forward_packet(1, address(2), Duration::ZERO, 1);
    node.handle_frame(frame.clone(), ZERO).unwrap();
    assert_eq!(node.handle_frame(frame, ZERO), Err(DropReason::Replay));
}

#[test]
fn a_packet_for_strangers_or_forged_or_to_be_delivered_here_is_dropped() {
    let mut node = mix_node(ONE);
    let stranger = forward_packet(1, address(77), Duration::ZERO, 1);
    assert_eq!(node.handle_frame(stranger, ZERO), Err(DropReason::UnknownNextHop));

    let mut bytes = forward_packet(1, address(2), Duration::ZERO, 2).packet.into_bytes();
    bytes[40] ^= 1;
    let forged = NodeFrame { rotation: RotationTag::Odd, packet: Packet::from_bytes(bytes).unwrap() };
    assert_eq!(node.handle_frame(forged, ZERO), Err(DropReason::Forged));

    let own = key(1).public();
    let route = [Hop { address: address(1), key: &own }];
    let packet = build(PacketSize::Ack, &route, &[Delay::ZERO], &Destination([0; 32]), &[7; 21], &mut rng(3)).unwrap();
    let last = NodeFrame { rotation: RotationTag::Odd, packet };
    assert_eq!(node.handle_frame(last, ZERO), Err(DropReason::WrongRole));
    assert!(node.poll_timeout().is_none());
}

#[test]
fn during_a_change_of_keys_both_work_and_afterwards_only_the_new_one() {
    let overlap = Rotations { primary: 2, secondary: Some(1) };
    let mut node = mix_node(ONE);
    node.hold_keys(overlap, key);
    let frame = |rotation, seed| forward_packet(rotation, address(2), Duration::ZERO, seed);
    let untagged = |frame: NodeFrame| NodeFrame { rotation: RotationTag::Unknown, ..frame };
    node.handle_frame(frame(1, 1), ZERO).unwrap();
    node.handle_frame(frame(2, 2), ZERO).unwrap();
    node.handle_frame(untagged(frame(1, 3)), ZERO).unwrap();
    node.handle_frame(untagged(frame(2, 4)), ZERO).unwrap();
    let wrong_tag = NodeFrame { rotation: RotationTag::Even, ..frame(1, 5) };
    assert_eq!(node.handle_frame(wrong_tag, ZERO), Err(DropReason::Forged));

    node.hold_keys(Rotations { primary: 2, secondary: None }, key);
    assert_eq!(node.handle_frame(frame(1, 6), ZERO), Err(DropReason::Expired));
    assert_eq!(node.handle_frame(untagged(frame(1, 7)), ZERO), Err(DropReason::Forged));
    // The filter of a key that stays remembers.
    assert_eq!(node.handle_frame(frame(2, 2), ZERO), Err(DropReason::Replay));
}

/// A gateway and what it did.
struct Bench {
    gateway: Gateway,
    rng: ChaCha20Rng,
    connections: u64,
}

/// A client on a gateway's bench.
struct Client {
    identity: IdentityKeypair,
    shared: SharedKey,
    connection: ConnectionId,
}

impl Bench {
    fn new(saved: Saved) -> Self {
        let parts = Parts {
            identity: IdentityKeypair::from_bytes(&[9; 32]),
            protocol_version: 6,
            peers: peers(),
            saved,
            rng: rng(100),
        };
        let mut gateway = Gateway::new(parts);
        gateway.set_unix_time(NOW);
        gateway.hold_keys(ONE, key);
        gateway.handle_timeout(ZERO);
        Self { gateway, rng: rng(101), connections: 0 }
    }

    fn open(&mut self) -> ConnectionId {
        self.connections += 1;
        let id = ConnectionId(self.connections);
        assert!(self.gateway.handle_open(id, ZERO));
        id
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.gateway.poll_output()).collect()
    }

    /// Says something on a connection and gives back what is done about it.
    fn say(&mut self, connection: ConnectionId, frame: &ClientText) -> Vec<Output> {
        self.gateway.handle_text(connection, &frame.to_text(), ZERO);
        self.outputs()
    }

    fn register(&mut self, seed: u8) -> Client {
        let connection = self.open();
        let identity = IdentityKeypair::from_bytes(&[seed; 32]);
        let gateway = IdentityKeypair::from_bytes(&[9; 32]).gateway_id();
        let (mut state, frame) = Registering::start(&identity, gateway, 6, &mut self.rng);
        let mut said = self.say(connection, &frame);
        loop {
            for text in texts(&std::mem::take(&mut said)) {
                state = match state.next(&text, &identity).unwrap() {
                    Step::Wait(next) => next,
                    Step::Send(next, frame) => {
                        said = self.say(connection, &frame);
                        next
                    }
                    Step::Done(registered) => return Client { identity, shared: registered.shared, connection },
                };
            }
            assert!(!said.is_empty(), "the registration stands still");
        }
    }

    fn login(&mut self, client: &Client, unix_seconds: u64) -> (ConnectionId, Vec<Output>) {
        let connection = self.open();
        let frame = login_request(&client.identity, &client.shared, 6, unix_seconds, &mut self.rng);
        let outputs = self.say(connection, &frame);
        (connection, outputs)
    }

    fn close(&mut self, connection: ConnectionId) -> Vec<Output> {
        self.gateway.handle_closed(connection, ZERO);
        self.outputs()
    }
}

fn texts(outputs: &[Output]) -> Vec<ServerText> {
    let text = |output: &Output| match output {
        Output::Text(_, text) => Some(ServerText::parse(text).unwrap()),
        _ => None,
    };
    outputs.iter().filter_map(text).collect()
}

/// What a list of outputs is made of, in one word each.
fn kinds(outputs: &[Output]) -> Vec<&'static str> {
    outputs
        .iter()
        .map(|output| match output {
            Output::Binary(..) => "binary",
            Output::Close(_) => "close",
            Output::Discard(_) => "discard",
            Output::Forward(_) => "forward",
            Output::Note(what) => what.kind(),
            Output::Ping(..) => "ping",
            Output::Store(_) => "store",
            Output::Text(..) => "text",
        })
        .collect()
}

/// A packet for a client of the gateway, with an ack inside that goes to the node on `ack_port`.
fn data_packet(client: &Client, ack_port: u16, seed: u64) -> (NodeFrame, Packet) {
    let ack = forward_packet(1, address(3), Duration::ZERO, seed + 1000).packet;
    let mut plaintext = ack_blob(address(ack_port), &ack);
    plaintext.resize(PacketSize::Regular.plaintext_len(), seed as u8);
    (final_packet(client, PacketSize::Regular, &plaintext, seed), ack)
}

fn final_packet(client: &Client, size: PacketSize, plaintext: &[u8], seed: u64) -> NodeFrame {
    let own: NodePublicKey = key(1).public();
    let route = [Hop { address: address(1), key: &own }];
    let destination = Destination(client.identity.client_id().0);
    let packet = build(size, &route, &[Delay::ZERO], &destination, plaintext, &mut rng(seed)).unwrap();
    NodeFrame { rotation: RotationTag::Odd, packet }
}

#[test]
fn a_registration_is_on_disk_before_it_is_confirmed() {
    let mut bench = Bench::new(Saved::default());
    let connection = bench.open();
    let identity = IdentityKeypair::from_bytes(&[1; 32]);
    let gateway = IdentityKeypair::from_bytes(&[9; 32]).gateway_id();
    let (state, frame) = Registering::start(&identity, gateway, 6, &mut rng(5));
    let answer = texts(&bench.say(connection, &frame)).remove(0);
    let Ok(Step::Send(_, frame)) = state.next(&answer, &identity) else { panic!("no third message") };
    let outputs = bench.say(connection, &frame);
    assert_eq!(kinds(&outputs), ["store", "registered", "text", "text"]);
}

#[test]
fn a_message_for_a_client_that_is_there_is_pushed_and_its_ack_goes_on() {
    let mut bench = Bench::new(Saved::default());
    let client = bench.register(1);
    let (frame, ack) = data_packet(&client, 4, 7);
    bench.gateway.handle_packet(frame, ZERO).unwrap();
    let outputs = bench.outputs();
    assert_eq!(kinds(&outputs), ["binary", "final", "forward"]);
    let (Output::Binary(connection, pushed), Output::Forward(forward)) = (&outputs[0], &outputs[2]) else {
        panic!("kinds said so")
    };
    assert_eq!(*connection, client.connection);
    assert_eq!(open_push(&client.shared, pushed).unwrap(), [7; 1643]);
    assert_eq!((forward.to, forward.to_name), (address(4), NodeName::Mix(4)));
    assert!(forward.frame.packet == ack && forward.frame.rotation == RotationTag::Odd);

    let ack = final_packet(&client, PacketSize::Ack, &[8; 21], 8);
    bench.gateway.handle_packet(ack, ZERO).unwrap();
    let outputs = bench.outputs();
    assert_eq!(kinds(&outputs), ["binary", "final"]);
    let Output::Binary(_, pushed) = &outputs[0] else { panic!("kinds said so") };
    assert_eq!(open_push(&client.shared, pushed).unwrap(), [8; 21]);
}

#[test]
fn a_message_for_a_client_that_is_away_is_on_disk_before_its_ack_and_comes_at_the_next_login() {
    let mut bench = Bench::new(Saved::default());
    let client = bench.register(1);
    bench.close(client.connection);
    let mut disk = Vec::new();
    for seed in 1..4 {
        bench.gateway.handle_packet(data_packet(&client, 4, seed).0, ZERO).unwrap();
        let outputs = bench.outputs();
        assert_eq!(kinds(&outputs), ["store", "final", "forward"]);
        let Some(Output::Store(change)) = outputs.into_iter().next() else { panic!("kinds said so") };
        disk.push(change);
    }

    let (connection, outputs) = bench.login(&client, NOW);
    let kinds = kinds(&outputs);
    let expected = [
        "opened",
        "store",
        "logged-in",
        "delivered",
        "delivered",
        "delivered",
        "binary",
        "binary",
        "binary",
        "text",
        "discard",
    ];
    assert_eq!(kinds, expected);
    let pushes: Vec<u8> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Binary(to, frame) if *to == connection => Some(open_push(&client.shared, frame).unwrap()[0]),
            _ => None,
        })
        .collect();
    assert_eq!(pushes, [1, 2, 3]);
    // What is written at the end empties the inbox that the changes before it had filled.
    let Some(Output::Discard(last)) = outputs.into_iter().next_back() else { panic!("kinds said so") };
    let mut saved = Saved::default();
    disk.into_iter().chain([last]).for_each(|change: Change| saved.apply(change));
    assert_eq!(saved.inbox(&client.identity.client_id().0).count(), 0);

    bench.close(connection);
    let (_, outputs) = bench.login(&client, NOW + 1);
    assert!(!kinds_have(&outputs, "binary"), "nothing comes twice");
}

fn kinds_have(outputs: &[Output], kind: &str) -> bool {
    kinds(outputs).contains(&kind)
}

#[test]
fn a_packet_without_a_sound_ack_is_not_delivered() {
    let mut bench = Bench::new(Saved::default());
    let client = bench.register(1);
    let plaintext = vec![0; PacketSize::Regular.plaintext_len()];
    let frame = final_packet(&client, PacketSize::Regular, &plaintext, 1);
    assert_eq!(bench.gateway.handle_packet(frame, ZERO), Err(DropReason::Malformed));
    let short = final_packet(&client, PacketSize::Regular, &[4; 404], 2);
    assert_eq!(bench.gateway.handle_packet(short, ZERO), Err(DropReason::Malformed));
    assert!(bench.outputs().is_empty());
}

#[test]
fn a_message_is_delivered_though_its_ack_leads_nowhere() {
    let mut bench = Bench::new(Saved::default());
    let client = bench.register(1);
    bench.gateway.handle_packet(data_packet(&client, 77, 1).0, ZERO).unwrap();
    let outputs = bench.outputs();
    assert_eq!(kinds(&outputs), ["binary", "final", "dropped"]);
}

#[test]
fn packets_of_clients_are_charged_and_go_to_known_nodes_only() {
    let mut bench = Bench::new(Saved::default());
    let client = bench.register(1);
    let request = |first_hop, seed| {
        let packet = forward_packet(1, address(2), Duration::ZERO, seed).packet;
        let mix_packet = MixPacket { rotation: RotationTag::Odd, first_hop, packet };
        seal_request(&client.shared, &mix_packet.to_v2(), true, &mut rng(seed))
    };
    bench.gateway.handle_binary(client.connection, &request(address(1), 1), ZERO);
    let outputs = bench.outputs();
    assert_eq!(kinds(&outputs), ["text"], "a fresh client has nothing to spend");

    let outputs = bench.say(client.connection, &ClientText::ClaimFreeTestnetBandwidth);
    assert_eq!(kinds(&outputs), ["store", "text"]);
    bench.gateway.handle_binary(client.connection, &request(address(1), 2), ZERO);
    let outputs = bench.outputs();
    assert_eq!(kinds(&outputs), ["entered", "forward", "text"]);
    let ServerText::Send { remaining_bandwidth, .. } = texts(&outputs).remove(0) else { panic!("not accepted") };
    assert_eq!(remaining_bandwidth, (64 << 30) - 386);
    bench.gateway.handle_binary(client.connection, &request(address(77), 3), ZERO);
    let outputs = bench.outputs();
    assert_eq!(kinds(&outputs), ["entered", "dropped", "text"]);

    // What was spent is written down after a while.
    let due = bench.gateway.poll_timeout().unwrap();
    bench.gateway.handle_timeout(due);
    let written = bench.outputs().into_iter().find_map(|output| match output {
        Output::Discard(Change::Client(_, known)) => Some(known.bandwidth),
        _ => None,
    });
    assert_eq!(written, Some((64 << 30) - 2 * 386));
}

#[test]
fn a_second_login_is_refused_while_the_first_connection_answers_and_wins_when_it_does_not() {
    let mut bench = Bench::new(Saved::default());
    let client = bench.register(1);
    let (second, outputs) = bench.login(&client, NOW);
    let [Output::Note(What::Opened { .. }), Output::Ping(asked, ping)] = outputs.as_slice() else {
        panic!("{:?}", kinds(&outputs))
    };
    assert_eq!(*asked, client.connection);
    bench.gateway.handle_pong(client.connection, &[0; 8], ZERO);
    assert!(bench.outputs().is_empty(), "another ping's answer");
    bench.gateway.handle_pong(client.connection, ping, ZERO);
    let outputs = bench.outputs();
    assert_eq!(kinds(&outputs), ["text", "text", "refused", "close"]);
    bench.close(second);

    let (third, _) = bench.login(&client, NOW + 1);
    let due = ZERO + Duration::from_secs(1);
    assert_eq!(bench.gateway.poll_timeout(), Some(due));
    bench.gateway.handle_timeout(due);
    let outputs = bench.outputs();
    assert_eq!(kinds(&outputs), ["store", "logged-in", "close", "text"]);
    assert!(matches!(outputs[2], Output::Close(id) if id == client.connection));
    // The end of the old connection takes nothing from the new one.
    bench.close(client.connection);
    bench.gateway.handle_packet(final_packet(&client, PacketSize::Ack, &[1; 21], 1), due).unwrap();
    assert!(matches!(bench.outputs()[0], Output::Binary(id, _) if id == third));
}

#[test]
fn a_login_goes_through_at_once_when_the_first_connection_ends_meanwhile() {
    let mut bench = Bench::new(Saved::default());
    let client = bench.register(1);
    let (second, _) = bench.login(&client, NOW);
    let outputs = bench.close(client.connection);
    assert!(kinds_have(&outputs, "logged-in"));
    assert_eq!(bench.gateway.client(second), Some(ClientName(client.identity.client_id().0)));
}

#[test]
fn a_gateway_knows_its_clients_again_from_what_was_saved() {
    let mut bench = Bench::new(Saved::default());
    let client = bench.register(1);
    bench.say(client.connection, &ClientText::ClaimFreeTestnetBandwidth);
    let mut saved = Saved::default();
    let (id, known) = bench.gateway.saved().clients().next().unwrap();
    saved.apply(Change::Client(*id, known.clone()));
    let mut later = Bench::new(saved);
    let (_, outputs) = later.login(&client, NOW);
    let ServerText::Authenticate { status, bandwidth_remaining, .. } = texts(&outputs).remove(0) else {
        panic!("it is not let in")
    };
    assert!(status && bandwidth_remaining == 64 << 30);
    let stranger = Client {
        identity: IdentityKeypair::from_bytes(&[2; 32]),
        shared: client.shared,
        connection: client.connection,
    };
    let (_, outputs) = later.login(&stranger, NOW);
    assert!(kinds_have(&outputs, "close"));
}

#[test]
fn a_client_that_says_nothing_is_dropped_after_ten_seconds() {
    let mut bench = Bench::new(Saved::default());
    let connection = bench.open();
    bench.outputs();
    assert_eq!(bench.gateway.poll_timeout(), Some(ZERO + Duration::from_secs(10)));
    bench.gateway.handle_timeout(ZERO + Duration::from_secs(10));
    let outputs = bench.outputs();
    assert_eq!(kinds(&outputs), ["text", "refused", "close"]);
    assert!(matches!(outputs[2], Output::Close(id) if id == connection));
}
