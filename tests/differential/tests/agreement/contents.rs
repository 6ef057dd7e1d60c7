//! What messages say, acks, and the end-to-end layer.

use mixlet::message::{
    AckContent, AckKey, Content, FragmentId, Repliable, Reply, ReplyKey, ReplySurb, SenderTag, SetId, SurbList, open,
    open_with, seal_to, seal_with,
};
use mixlet::sphinx::Surb;
use nym_sphinx::{
    acknowledgements::{
        self,
        identifier::{prepare_identifier, recover_identifier},
    },
    anonymous_replies::{
        ReplySurb as TheirReplySurb, SurbEncryptionKey,
        requests::{RepliableMessage, RepliableMessageContent, ReplyMessage, ReplyMessageContent},
    },
    receiver::{MessageReceiver, SphinxMessageReceiver},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

use super::network::{Client, Network, body, bytes, delays, rotation};

/// Our SURBs for a client, as a list.
pub fn our_surbs(network: &Network, client: &Client, count: usize, rng: &mut ChaCha20Rng) -> SurbList {
    let make = |_| ReplySurb {
        key: ReplyKey::random(rng),
        surb: Surb::make(&network.hops(client.gateway), &delays(), &client.destination(), rng).unwrap(),
    };
    SurbList { rotation: rotation(), surbs: (0..count).map(make).collect() }
}

#[test]
fn the_peer_reads_our_repliable_messages() {
    let network = Network::new(1);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for count in [0, 1, 2, 10] {
        for len in [0, 1, 1000] {
            let (tag, sent) = (SenderTag::random(&mut rng), body(len, &mut rng));
            let surbs = our_surbs(&network, &network.alice, count, &mut rng);
            let records: Vec<_> =
                surbs.surbs.iter().map(|surb| [&surb.key.as_bytes()[..], &surb.surb.to_bytes()].concat()).collect();
            let message = Content::repliable(&tag, &surbs, &sent).unwrap();

            let read = RepliableMessage::try_from_bytes(&message[1..]).unwrap();
            assert_eq!(read.sender_tag.to_bytes(), tag.0);
            let RepliableMessageContent::DataV2(data) = read.content else { panic!("data") };
            assert_eq!(data.message, sent);
            assert_eq!(data.reply_surbs.len(), count);
            for (surb, record) in data.reply_surbs.iter().zip(records) {
                assert_eq!(surb.key_rotation() as u8, rotation().to_byte());
                assert_eq!(surb.inner_reply_surb().to_bytes(), record);
            }

            let content = Content::Repliable { tag, data: Repliable::AdditionalSurbs(surbs) };
            let read = RepliableMessage::try_from_bytes(&content.to_bytes().unwrap()[1..]).unwrap();
            assert!(matches!(read.content, RepliableMessageContent::AdditionalSurbsV2(_)));
        }
    }
}

#[test]
fn we_read_the_peers_repliable_messages() {
    let network = Network::new(2);
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let mut preparer = network.preparer(&network.alice, 2);
    for count in [0, 1, 2, 10] {
        for len in [0, 1, 1000] {
            let (tag, sent) = (bytes::<16>(&mut rng), body(len, &mut rng));
            let surbs = preparer.generate_reply_surbs(count, &network.topology).unwrap();
            let records: Vec<_> = surbs.iter().map(|surb| surb.inner_reply_surb().to_bytes()).collect();
            let message = RepliableMessage::new_data(sent.clone(), tag.into(), surbs).into_bytes();
            let bytes = [&[1], &message[..]].concat();
            let Content::Repliable { tag: found, data: Repliable::Data { surbs, body } } =
                Content::parse(bytes.clone()).unwrap()
            else {
                panic!("data")
            };
            assert_eq!((found.0, &body), (tag, &sent));
            assert_eq!(surbs.surbs.len(), count);
            for (surb, record) in surbs.surbs.iter().zip(records) {
                assert_eq!([&surb.key.as_bytes()[..], &surb.surb.to_bytes()].concat(), record);
            }
            assert!(count == 0 || surbs.rotation == rotation());
            // And what we write of it is what the peer wrote.
            let content = Content::Repliable { tag: found, data: Repliable::Data { surbs, body } };
            assert_eq!(content.to_bytes().unwrap(), bytes);

            let surbs = preparer.generate_reply_surbs(count, &network.topology).unwrap();
            let message = RepliableMessage::new_additional_surbs(tag.into(), surbs).into_bytes();
            let read = Content::parse([&[1], &message[..]].concat()).unwrap();
            let Content::Repliable { data: Repliable::AdditionalSurbs(list), .. } = read else { panic!("SURBs") };
            assert_eq!(list.surbs.len(), count);
        }
    }
}

#[test]
fn replies_are_the_same() {
    let network = Network::new(3);
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    for len in [1, 2, 5000] {
        let sent = body(len, &mut rng);
        let ours = Content::reply(&sent).unwrap();
        assert_eq!(ours[1..], ReplyMessage::new_data_message(sent.clone()).into_bytes());
        let ReplyMessageContent::Data { message } = ReplyMessage::try_from_bytes(&ours[1..]).unwrap().content else {
            panic!("data")
        };
        assert_eq!(message, sent);
    }
    for amount in [0, 1, 50, u32::MAX] {
        let ours = Content::surb_request(&network.bob.address, amount);
        let theirs = ReplyMessage::new_surb_request_message(network.bob.recipient, amount).into_bytes();
        assert_eq!(ours[1..], theirs);
        let Content::Reply(Reply::SurbRequest { address, amount: found }) = Content::parse(ours).unwrap() else {
            panic!("request")
        };
        assert!(address == network.bob.address);
        assert_eq!(found, amount);
    }
}

/// Every way to cut off or alter the head of a message: both sides read the same ones.
#[test]
fn the_same_bytes_are_messages() {
    let network = Network::new(4);
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let surbs = our_surbs(&network, &network.alice, 2, &mut rng);
    let repliable = Content::repliable(&SenderTag::random(&mut rng), &surbs, b"body").unwrap();
    let request = Content::surb_request(&network.bob.address, 7);
    let mut read = 0;
    for message in [repliable, request] {
        let lens = (1..120).chain([480, 481, 482, 483, 942, 943, 944, message.len(), message.len() - 1]);
        for len in lens.filter(|&len| len <= message.len()) {
            read += usize::from(agree(&message[..len]));
        }
        for position in 1..22 {
            for value in [0, 1, 2, 3, 4, 5, 6, 255] {
                let mut altered = message.clone();
                altered[position] = value;
                read += usize::from(agree(&altered));
            }
        }
    }
    assert!(read > 100);
}

/// Whether both read it; fails when only one does.
fn agree(message: &[u8]) -> bool {
    // Lists of older clients are read by us only, so that they can be answered.
    if message[0] == 1 && message.get(17).is_some_and(|&tag| tag < 3) {
        assert!(RepliableMessage::try_from_bytes(&message[1..]).is_err());
        return false;
    }
    let theirs = match message[0] {
        1 => RepliableMessage::try_from_bytes(&message[1..]).is_ok(),
        _ => ReplyMessage::try_from_bytes(&message[1..]).is_ok(),
    };
    assert_eq!(Content::parse(message.to_vec()).is_ok(), theirs, "{:02x?}", &message[..message.len().min(24)]);
    theirs
}

#[test]
fn acks_are_recognised_by_both() {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    for i in 1..200_u32 {
        let key = bytes(&mut rng);
        let (ours, theirs) = (AckKey::from_bytes(key), acknowledgements::AckKey::try_from_bytes(&key).unwrap());
        let id = FragmentId { set: SetId::new(i.wrapping_mul(0x1234_5671) & 0x7fff_ffff).unwrap(), position: i as u8 };
        let sealed = ours.seal(AckContent::Fragment(id), &mut rng);
        assert_eq!(recover_identifier(&theirs, &sealed), Some(id.to_bytes()));
        let sealed = prepare_identifier(&mut rng, &theirs, id.to_bytes());
        let opened = ours.open(&sealed);
        // Position zero is no fragment's.
        assert_eq!(opened, (id.position > 0).then_some(AckContent::Fragment(id)));
        let sealed = prepare_identifier(&mut rng, &theirs, [0; 5]);
        assert_eq!(ours.open(&sealed), Some(AckContent::Cover));
    }
}

#[test]
fn the_end_to_end_layer_is_the_same() {
    let network = Network::new(6);
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    for len in [0, 1, 16, 1611, 32331] {
        let fragment = body(len, &mut rng);
        let mut sealed = seal_to(network.bob.address.encryption_key(), &fragment, &mut rng).unwrap();
        assert_eq!(open(&network.bob.our_encryption_key(), &sealed).unwrap(), fragment);
        let receiver = SphinxMessageReceiver::new();
        let key = network.bob.their_encryption_key();
        assert_eq!(receiver.recover_plaintext_from_regular_packet(&key, &mut sealed).unwrap(), fragment);

        let key = bytes(&mut rng);
        let (ours, theirs) = (ReplyKey::from_bytes(key), SurbEncryptionKey::try_from_bytes(&key).unwrap());
        let mut sealed = seal_with(&ours, &fragment);
        assert_eq!(sealed[..32], theirs.compute_digest()[..]);
        assert_eq!(open_with(&ours, &sealed[32..]), fragment);
        receiver.recover_plaintext_from_reply(&mut sealed[32..], theirs).unwrap();
        assert_eq!(sealed[32..], fragment);
    }
}

#[test]
fn records_of_surbs_are_the_same() {
    let network = Network::new(7);
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    for surb in our_surbs(&network, &network.bob, 3, &mut rng).surbs {
        let record = [&surb.key.as_bytes()[..], &surb.surb.to_bytes()].concat();
        assert_eq!(record.len(), 460);
        assert_eq!(TheirReplySurb::from_bytes(&record).unwrap().to_bytes(), record);
    }
}
