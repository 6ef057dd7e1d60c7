//! Whole messages: from a sender over three mix nodes and a gateway to the recipient, and the ack back.

use std::time::Duration;

use mixlet::{
    message::{
        AckContent, Budget, Content, Context, FragmentId, Fragments, Inserted, Reassembler, ack_blob, cover_content,
        is_cover, open, seal_to,
    },
    sphinx::{MixPacket, PacketSize, build},
    time::Instant,
};
use nym_sphinx::{
    acknowledgements::identifier::recover_identifier,
    cover,
    message::NymMessage,
    params::{self, PacketType},
    receiver::{MessageReceiver, SphinxMessageReceiver},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

use super::network::{Client, DATA_SIZES, Delivered, Network, body, delays, rotation};

/// What our client hands its gateway for one fragment or cover: built as the engine builds it.
pub fn our_mix_packet(
    network: &Network,
    (from, to): (&Client, &Client),
    size: PacketSize,
    ack: AckContent,
    content: &[u8],
    rng: &mut ChaCha20Rng,
) -> Vec<u8> {
    let sealed = seal_to(to.address.encryption_key(), content, rng).unwrap();
    let plaintext = [our_ack(network, from, ack, rng), sealed].concat();
    let route = network.hops(to.gateway);
    let packet = build(size, &route, &delays(), &to.destination(), &plaintext, rng).unwrap();
    MixPacket { rotation: rotation(), first_hop: route[0].address, packet }.to_v2()
}

/// Our ack for the front of a plaintext.
pub fn our_ack(network: &Network, from: &Client, ack: AckContent, rng: &mut ChaCha20Rng) -> Vec<u8> {
    let sealed = from.our_ack_key().seal(ack, rng);
    let route = network.hops(from.gateway);
    let packet = build(PacketSize::Ack, &route, &delays(), &from.destination(), &sealed, rng).unwrap();
    ack_blob(route[0].address, &packet)
}

/// Follows an ack to its maker: both nodes and both clients must understand it.
pub fn assert_acked(network: &Network, delivered: &Delivered, from: &Client, expected: AckContent) {
    let ack = network.walk(delivered.ack.as_ref().expect("an ack"));
    assert_eq!(ack.destination, from.destination().0);
    assert_eq!(ack.ack, None);
    assert_eq!(from.our_ack_key().open(&ack.pushed), Some(expected));
    let id = match expected {
        AckContent::Cover => [0; 5],
        AckContent::Fragment(id) => id.to_bytes(),
    };
    assert_eq!(recover_identifier(&from.their_ack_key(), &ack.pushed), Some(id));
}

#[test]
fn the_peer_understands_our_messages() {
    let network = Network::new(1);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for (size, _) in DATA_SIZES {
        for len in [0, 9, 5000, 40_000] {
            let sent = body(len, &mut rng);
            let fragments = Fragments::new(Content::plain(&sent), size, &mut rng).unwrap();
            let mut receiver = SphinxMessageReceiver::new();
            let mut whole = None;
            for i in 0..fragments.count() {
                let ack = AckContent::Fragment(fragments.id(i).unwrap());
                let (alice, bob) = (&network.alice, &network.bob);
                let fragment = fragments.fragment(i).unwrap();
                let mix_packet = our_mix_packet(&network, (alice, bob), size, ack, &fragment, &mut rng);
                let mut delivered = network.walk(&mix_packet);
                assert_eq!(delivered.destination, bob.destination().0);
                assert_acked(&network, &delivered, alice, ack);

                let key = bob.their_encryption_key();
                let opened = receiver.recover_plaintext_from_regular_packet(&key, &mut delivered.pushed).unwrap();
                assert!(!cover::is_cover(opened));
                let fragment = receiver.recover_fragment(opened).unwrap();
                whole = receiver.insert_new_fragment(fragment).unwrap();
            }
            assert_eq!(whole.expect("complete").0.into_inner_data(), sent);
        }
    }
}

#[test]
fn we_understand_the_peers_messages() {
    let network = Network::new(2);
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let mut preparer = network.preparer(&network.alice, 2);
    for (_, size) in DATA_SIZES {
        for len in [0, 9, 5000, 40_000] {
            let sent = body(len, &mut rng);
            let fragments = preparer.pad_and_split_message(NymMessage::new_plain(sent.clone()), size);
            let mut reassembler = Reassembler::new(Budget::default(), &mut rng);
            let mut whole = None;
            for fragment in fragments {
                let id = FragmentId::from_bytes(&fragment.fragment_identifier().to_bytes()).unwrap();
                let (alice, bob) = (&network.alice, &network.bob);
                let prepared = preparer
                    .prepare_chunk_for_sending(
                        fragment,
                        &network.topology,
                        &alice.their_ack_key(),
                        &bob.recipient,
                        PacketType::Mix,
                    )
                    .unwrap();
                let delivered = network.walk(&prepared.mix_packet.into_v2_bytes().unwrap());
                assert_eq!(delivered.destination, bob.destination().0);
                assert_acked(&network, &delivered, alice, AckContent::Fragment(id));

                let opened = open(&bob.our_encryption_key(), &delivered.pushed).unwrap();
                assert!(!is_cover(&opened));
                if let Inserted::Complete { message, .. } = reassembler.insert(Context::Unknown, &opened, Instant::ZERO)
                {
                    whole = Some(message);
                }
            }
            let Content::Plain(body) = Content::parse(whole.expect("complete")).unwrap() else { panic!("plain") };
            assert_eq!(body, sent);
        }
    }
}

#[test]
fn cover_is_recognised_by_both() {
    let network = Network::new(3);
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let alice = &network.alice;
    for (size, their_size) in DATA_SIZES {
        let ours = our_mix_packet(&network, (alice, alice), size, AckContent::Cover, &cover_content(size), &mut rng);
        let theirs = cover::generate_loop_cover_packet(
            &mut rng,
            &network.topology,
            &alice.their_ack_key(),
            &alice.recipient,
            Duration::from_millis(15),
            Duration::from_millis(15),
            their_size,
            PacketType::Mix,
        )
        .unwrap()
        .into_v2_bytes()
        .unwrap();
        assert_eq!(ours.len(), theirs.len());
        for mix_packet in [ours, theirs] {
            let mut delivered = network.walk(&mix_packet);
            assert_eq!(delivered.destination, alice.destination().0);
            assert_acked(&network, &delivered, alice, AckContent::Cover);
            let opened = open(&alice.our_encryption_key(), &delivered.pushed).unwrap();
            assert_eq!(opened, cover_content(size));
            let receiver = SphinxMessageReceiver::new();
            let key = alice.their_encryption_key();
            let opened = receiver.recover_plaintext_from_regular_packet(&key, &mut delivered.pushed).unwrap();
            assert!(cover::is_cover(opened));
        }
    }
    assert_eq!(params::PacketSize::RegularPacket.plaintext_size(), PacketSize::Regular.plaintext_len());
}
