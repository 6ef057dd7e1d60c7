//! Replies over SURBs, in both directions.

use mixlet::{
    message::{
        AckContent, Budget, Content, Context, FragmentId, Fragments, Inserted, Reassembler, Repliable, Reply,
        SenderTag, open_with, seal_with,
    },
    sphinx::MixPacket,
    time::Instant,
};
use nym_sphinx::{
    anonymous_replies::requests::{RepliableMessage, RepliableMessageContent, ReplyMessage},
    message::NymMessage,
    params::PacketType,
    receiver::{MessageReceiver, SphinxMessageReceiver},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

use super::contents::our_surbs;
use super::messages::{assert_acked, our_ack};
use super::network::{DATA_SIZES, Network, body, bytes};

/// Alice is ours and gives out SURBs, Bob is the peer's and answers over them.
#[test]
fn the_peer_answers_over_our_surbs() {
    let network = Network::new(1);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut preparer = network.preparer(&network.bob, 1);
    for (_, size) in DATA_SIZES {
        let surbs = our_surbs(&network, &network.alice, 4, &mut rng);
        let tag = SenderTag::random(&mut rng);
        let message = Content::repliable(&tag, &surbs, b"question").unwrap();
        let keys = surbs.surbs.into_iter().map(|surb| surb.key).collect::<Vec<_>>();

        let RepliableMessageContent::DataV2(data) = RepliableMessage::try_from_bytes(&message[1..]).unwrap().content
        else {
            panic!("data")
        };
        let answer = body(3000, &mut rng);
        let reply = NymMessage::new_reply(ReplyMessage::new_data_message(answer.clone()));
        let fragments = preparer.pad_and_split_message(reply, size);
        let mut reassembler = Reassembler::new(Budget::default(), &mut rng);
        let mut whole = None;
        for (fragment, surb) in fragments.into_iter().zip(data.reply_surbs) {
            let id = FragmentId::from_bytes(&fragment.fragment_identifier().to_bytes()).unwrap();
            let ack_key = network.bob.their_ack_key();
            let prepared = preparer
                .prepare_reply_chunk_for_sending(fragment, &network.topology, &ack_key, surb, PacketType::Mix)
                .unwrap();
            let delivered = network.walk(&prepared.mix_packet.into_v2_bytes().unwrap());
            assert_eq!(delivered.destination, network.alice.destination().0);
            assert_acked(&network, &delivered, &network.bob, AckContent::Fragment(id));

            let (digest, sealed) = delivered.pushed.split_first_chunk::<32>().unwrap();
            let key = keys.iter().find(|key| key.digest().0 == *digest).expect("one of our keys");
            let opened = open_with(key, sealed);
            if let Inserted::Complete { message, .. } = reassembler.insert(Context::Tag(tag), &opened, Instant::ZERO) {
                whole = Some(message);
            }
        }
        let Content::Reply(Reply::Data(found)) = Content::parse(whole.expect("complete")).unwrap() else {
            panic!("reply")
        };
        assert_eq!(found, answer);
    }
}

/// Alice is the peer's and gives out SURBs, Bob is ours and answers over them.
#[test]
fn we_answer_over_the_peers_surbs() {
    let network = Network::new(2);
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let mut preparer = network.preparer(&network.alice, 2);
    for (size, _) in DATA_SIZES {
        let surbs = preparer.generate_reply_surbs(4, &network.topology).unwrap();
        let keys: Vec<_> = surbs.iter().map(|surb| surb.encryption_key().clone()).collect();
        let tag: [u8; 16] = bytes(&mut rng);
        let message = RepliableMessage::new_data(b"question".to_vec(), tag.into(), surbs).into_bytes();
        let Content::Repliable { data: Repliable::Data { surbs, .. }, .. } =
            Content::parse([&[1], &message[..]].concat()).unwrap()
        else {
            panic!("data")
        };

        let answer = body(3000, &mut rng);
        let fragments = Fragments::new(Content::reply(&answer).unwrap(), size, &mut rng).unwrap();
        let mut receiver = SphinxMessageReceiver::new();
        let mut whole = None;
        for (i, record) in (0..fragments.count()).zip(surbs.surbs) {
            let ack = AckContent::Fragment(fragments.id(i).unwrap());
            let sealed = seal_with(&record.key, &fragments.fragment(i).unwrap());
            let plaintext = [our_ack(&network, &network.bob, ack, &mut rng), sealed].concat();
            let (first_hop, packet) = record.surb.apply(size, &plaintext).unwrap();
            let mut delivered = network.walk(&MixPacket { rotation: surbs.rotation, first_hop, packet }.to_v2());
            assert_eq!(delivered.destination, network.alice.destination().0);
            assert_acked(&network, &delivered, &network.bob, ack);

            let (digest, sealed) = delivered.pushed.split_at_mut(32);
            let key = keys.iter().find(|key| key.compute_digest()[..] == *digest).expect("one of their keys");
            receiver.recover_plaintext_from_reply(sealed, key.clone()).unwrap();
            let fragment = receiver.recover_fragment(sealed).unwrap();
            whole = receiver.insert_new_fragment(fragment).unwrap();
        }
        let (whole, _) = whole.expect("complete");
        assert_eq!(whole.into_inner_data(), answer);
    }
}
