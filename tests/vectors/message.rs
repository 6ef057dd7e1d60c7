//! The message room's bytes.

use mixlet::message::{
    ACK_BLOB_LEN, ACK_LEN, AckContent, AckKey, Address, Budget, Content, Context, EncryptionKey, Fragment, FragmentId,
    Fragments, GatewayId, Inserted, KeyDigest, Layout, Link, MessageError, Pushed, Reassembler, RecipientKey,
    Repliable, Reply, ReplyKey, SenderTag, SetId, ack_blob, cover_content, fragment_room, is_cover, open, open_with,
    seal_to, seal_with, split_ack_blob, unpad,
};
use mixlet::sphinx::{
    Checked, MixPacket, NodeAddress, NodeFrame, NodePrivateKey, Packet, PacketSize, Peeled, RotationTag,
};
use mixlet::time::Instant;
use serde_json::Value;

use super::support::{Fields, Script, hex, test, vectors};

#[test]
fn acks_are_sealed_and_recognised() {
    let file = vectors!("packets/ack.json");
    let key = AckKey::from_bytes(file.field("client").array("ack_key"));
    let mut replayed = 0;
    for case in file.list("identifiers") {
        let content = ack_content(&case.array("identifier")).unwrap();
        let mut script = Script::new(&[&case.bytes("iv")]);
        assert_eq!(key.seal(content, &mut script).to_vec(), case.bytes("content"));
        script.finish();
        assert_eq!(key.open(&case.bytes("content")), Some(content));
        replayed += 1;
    }
    assert_eq!(replayed, 4);

    assert_eq!(ack_content(&file.array("refused_identifier_after_decryption")), None);
}

#[test]
fn ack_blobs_lead_back_to_their_maker() {
    let file = vectors!("packets/ack.json");
    let ack = file.field("surb_ack");
    let packet = Packet::from_bytes(ack.bytes("packet")).unwrap();
    let first_hop = NodeAddress::from(ack.text("first_hop").parse::<core::net::SocketAddr>().unwrap());

    let mut blob = ack_blob(first_hop, &packet);
    assert_eq!(blob, ack.bytes("blob"));
    blob.extend_from_slice(b"what is pushed");
    let (found_hop, found, rest) = split_ack_blob(&blob).unwrap();
    assert_eq!((found_hop, rest), (first_hop, &b"what is pushed"[..]));
    assert!(found == packet);

    let mut replayed = 0;
    let mut delivered = None;
    let mut packet = packet;
    for step in ack.list("unwrap") {
        let network = Network(file.field("network"));
        let node = network.nodes()[usize::try_from(step.number("hop")).unwrap()];
        match Checked::new(packet, &NodePrivateKey::from_bytes(node.array("private"))).unwrap().peel().unwrap() {
            Peeled::Forward { next, delay, packet: inner } => {
                assert_eq!(next.to_padded_32(), step.array("next_address"));
                assert_eq!(delay.nanos(), step.number("delay_ns"));
                assert_eq!(inner.as_bytes(), [step.bytes("next_header"), step.bytes("next_payload")].concat());
                packet = inner;
            }
            Peeled::Final { destination, plaintext, .. } => {
                assert_eq!(destination.0, file.field("client").array("identity_public"));
                assert_eq!(plaintext, ack.bytes("content"));
                delivered = Some(plaintext);
                packet = Packet::from_bytes(ack.bytes("packet")).unwrap();
            }
        }
        replayed += 1;
    }
    assert_eq!(replayed, 4);
    let key = AckKey::from_bytes(file.field("client").array("ack_key"));
    assert_eq!(key.open(&delivered.unwrap()), ack_content(&ack.array("fragment_identifier")));
}

#[test]
fn addresses_have_one_text_and_one_form_in_bytes() {
    let file = vectors!("packets/addressing.json");
    let mut replayed = 0;
    for case in file.list("recipients") {
        let address = Address::parse(case.text("text")).unwrap();
        assert_eq!(address.to_string(), case.text("text"));
        assert_eq!(address.to_bytes().to_vec(), case.bytes("bytes"));
        assert!(Address::from_bytes(&case.array("bytes")).unwrap() == address);
        assert_eq!(address.identity().0, case.array("identity"));
        assert_eq!(address.identity().0, case.array("sphinx_destination"));
        assert_eq!(*address.encryption_key(), case.array("encryption_key"));
        assert_eq!(address.gateway().0, case.array("gateway"));
        // The identifier is not written by this client; the packets of the network have zeros there.
        assert_eq!(case.array("sphinx_identifier"), [0; 16]);
        replayed += 1;
    }
    assert_eq!(replayed, 2);

    let mut refused = 0;
    for case in file.list("recipient_text_other") {
        assert!(case.field("result").get("error").is_some(), "{}", case.text("note"));
        assert_eq!(Address::parse(case.text("text")).err(), Some(MessageError::Address), "{}", case.text("note"));
        refused += 1;
    }
    assert_eq!(refused, 8);
}

#[test]
fn node_addresses_lie_in_blobs_as_recorded() {
    let file = vectors!("packets/addressing.json");
    let packet = vec![7; PacketSize::Ack.packet_len()];
    let mut replayed = [0; 2];
    for case in file.list("node_addresses") {
        let address = NodeAddress::from(case.text("socket").parse::<core::net::SocketAddr>().unwrap());
        let blob = [case.bytes("padded19"), packet.clone()].concat();
        assert_eq!(ack_blob(address, &Packet::from_bytes(packet.clone()).unwrap()), blob);
        assert_eq!(split_ack_blob(&blob).unwrap().0, address);
        replayed[0] += 1;
    }
    for case in file.list("node_address_other") {
        // In a blob an address is padded: what is too short elsewhere has zeros behind it here.
        let mut blob = case.bytes("bytes");
        blob.resize(NodeAddress::V6_LEN, 0);
        blob.extend_from_slice(&packet);
        let has_family = matches!(blob[0], 4 | 6);
        assert_eq!(split_ack_blob(&blob).is_ok(), has_family);
        replayed[1] += 1;
    }
    assert_eq!(replayed, [6, 7]);
}

#[test]
fn the_gateway_vectors_name_the_same_address() {
    let case = vectors!("gateway/recipient.json");
    let address = Address::parse(case.text("text")).unwrap();
    assert_eq!(address.to_string(), case.text("text"));
    assert_eq!(address.to_bytes().to_vec(), case.bytes("bytes"));
    assert_eq!(address.identity().0, case.array("identity"));
    assert_eq!(address.identity().0, case.array("sphinx_destination"));
    assert_eq!(*address.encryption_key(), case.array("encryption"));
    assert_eq!(EncryptionKey::from_bytes(case.array("encryption_private")).public(), case.array("encryption"));
    assert_eq!(address.gateway(), GatewayId::parse(case.text("gateway_b58")).unwrap());
    assert_eq!(address.gateway().0, case.array("gateway"));
    assert_eq!(address.gateway().to_string(), case.text("gateway_b58"));
    let identity = ed25519_dalek::SigningKey::from_bytes(&case.array("identity_seed")).verifying_key().to_bytes();
    let built = Address::new(identity, case.array("encryption"), GatewayId(case.array("gateway"))).unwrap();
    assert!(built == address);
    let parts = [case.text("identity_b58"), ".", case.text("encryption_b58"), "@", case.text("gateway_b58")];
    assert_eq!(parts.concat(), case.text("text"));
}

#[test]
fn fragment_headers_are_read_as_recorded() {
    let file = vectors!("packets/fragments.json");
    let mut replayed = [0; 2];
    for case in file.list("parse") {
        let bytes = case.bytes("bytes");
        let note = case.text("note");
        let Some(expected) = case.get("ok") else {
            assert!(case.get("error").is_some());
            assert!(Fragment::parse(&bytes).is_err(), "{note}");
            replayed[1] += 1;
            continue;
        };
        let Fragment { header, payload } = Fragment::parse(&bytes).expect(note);
        assert_eq!(u64::from(header.id.set.to_u32()), expected.number("set_id"), "{note}");
        assert_eq!(u64::from(header.id.position), expected.number("current"), "{note}");
        assert_eq!(u64::from(header.total), expected.number("total"), "{note}");
        assert_eq!(payload, expected.bytes("payload"), "{note}");
        let link = [expected.field("previous_set").as_u64(), expected.field("next_set").as_u64()];
        let found = match header.link {
            None => [None, None],
            Some(Link::Previous(set)) => [Some(u64::from(set.to_u32())), None],
            Some(Link::Next(set)) => [None, Some(u64::from(set.to_u32()))],
        };
        assert_eq!(found, link, "{note}");
        replayed[0] += 1;
    }
    assert_eq!(replayed, [9, 13]);
}

#[test]
fn messages_take_as_many_fragments_as_recorded() {
    let file = vectors!("packets/fragments.json");
    let mut replayed = 0;
    for case in file.list("required_fragments") {
        let layout = Layout::new(size(case, "message_len_with_marker"), size(case, "room")).unwrap();
        assert_eq!(layout.fragments(), size(case, "fragments"));
        assert_eq!(layout.space_left(), size(case, "space_left"));
        replayed += 1;
    }
    assert_eq!(replayed, 42);
}

#[test]
fn messages_are_cut_as_recorded_and_put_together_again() {
    let file = vectors!("packets/fragments.json");
    let mut replayed = [0; 2];
    for case in file.list("splits") {
        let set_ids: Vec<SetId> = case.list("set_ids_in_order").iter().map(set_id).collect();
        let message = case.bytes("message");
        let fragments = Fragments::from_padded(message.clone(), size(case, "room"), set_ids.clone()).unwrap();
        assert_eq!(fragments.count(), case.list("fragments").len());
        let mut reassembler = reassembler();
        for (index, expected) in case.list("fragments").iter().enumerate() {
            let mut fragment = fragments.fragment(index).unwrap();
            assert_eq!(fragment, hex(expected.as_str().unwrap()));
            let header = Fragment::parse(&fragment).unwrap().header;
            assert_eq!(Some(header.id), fragments.id(index));
            let is_last = index + 1 == fragments.count();
            if is_last {
                // These messages are cut as they are, without padding; the reassembler wants a marker.
                fragment.push(1);
            }
            match reassembler.insert(Context::Unknown, &fragment, Instant::ZERO) {
                Inserted::Waiting => assert!(!is_last),
                Inserted::Complete { message: found, set_ids: sets } => {
                    assert!(is_last && found == message && sets == set_ids);
                }
                other => panic!("{other:?}"),
            }
            replayed[1] += 1;
        }
        assert_eq!(fragments.fragment(fragments.count()), None);
        assert_eq!(fragments.id(fragments.count()), None);
        replayed[0] += 1;
    }
    assert_eq!(replayed, [4, 1 + 3 + 256 + 257]);
}

#[test]
fn the_end_to_end_layer_is_the_recorded_one() {
    let file = vectors!("packets/payload_keys.json");
    let mut replayed = [0; 2];
    for case in file.list("recipient_key") {
        let recipient = EncryptionKey::from_bytes(case.array("recipient_private"));
        assert_eq!(recipient.public(), case.array("recipient_public"));
        let mut script = Script::new(&[&case.bytes("ephemeral_private")]);
        let sealed = seal_to(&recipient.public(), &case.bytes("plaintext"), &mut script).unwrap();
        script.finish();
        assert_eq!(sealed, [case.bytes("ephemeral_public"), case.bytes("ciphertext")].concat());
        assert_eq!(open(&recipient, &sealed).unwrap(), case.bytes("plaintext"));
        // A key that is kept does the same, before and after it has a table.
        let kept = RecipientKey::new(recipient.public());
        for _ in 0..3 {
            let mut script = Script::new(&[&case.bytes("ephemeral_private")]);
            assert_eq!(kept.seal(&case.bytes("plaintext"), &mut script).unwrap(), sealed);
            script.finish();
        }

        // The key on its way: it is also what a reply key does to the same bytes.
        let key = ReplyKey::from_bytes(case.array("key"));
        assert_eq!(seal_with(&key, &case.bytes("plaintext"))[32..], case.bytes("ciphertext"));
        assert_eq!(open_with(&key, &case.bytes("ciphertext")), case.bytes("plaintext"));
        let dh = mixlet::sphinx::keys::x25519(&case.array("recipient_private"), &case.array("ephemeral_public"));
        assert_eq!(*dh, case.array("dh"));
        replayed[0] += 1;
    }
    for case in file.list("reply_key_digest") {
        assert_eq!(ReplyKey::from_bytes(case.array("reply_key")).digest().0, case.array("digest"));
        replayed[1] += 1;
    }
    assert_eq!(replayed, [3, 3]);
}

#[test]
fn plain_messages_travel_as_recorded() {
    let file = vectors!("packets/messages_plain.json");
    let network = Network(file.field("network"));
    let recipient = EncryptionKey::from_bytes(file.field("recipient").array("encryption_private"));
    let ack_key = AckKey::from_bytes(file.field("sender").array("ack_key"));
    let mut replayed = [0; 2];
    for case in file.list("cases") {
        let expected = case.field("expected");
        let written = Content::Plain(expected.bytes("data")).to_bytes().unwrap();
        let set_ids: Vec<SetId> = case.list("set_ids").iter().map(set_id).collect();
        let fragments = Fragments::with_set_ids(written, PacketSize::Regular, set_ids.clone()).unwrap();
        assert_eq!(fragments.count(), case.list("packets").len());

        let mut reassembler = reassembler();
        let mut received = None;
        for (index, packet) in case.list("packets").iter().enumerate() {
            assert_eq!(packet.text("kind"), "data");
            assert_eq!(fragments.fragment(index).unwrap(), packet.bytes("fragment"));
            assert_eq!(fragments.id(index).unwrap().to_bytes(), packet.array("ack_fragment_identifier"));
            let pushed = network.carry(packet, file.number("rotation_id"), &ack_key);
            assert_eq!(packet.array("destination"), file.field("recipient").array::<32>("identity_public"));
            assert_eq!(packet.array("ack_destination"), file.field("sender").array::<32>("identity_public"));
            let fragment = open(&recipient, &pushed).unwrap();
            assert_eq!(fragment, packet.bytes("fragment"));
            assert!(!is_cover(&fragment));
            if let Inserted::Complete { message, set_ids: found } =
                reassembler.insert(Context::Unknown, &fragment, Instant::ZERO)
            {
                assert_eq!(found, set_ids);
                received = Some(message);
            }
            replayed[1] += 1;
        }
        assert_eq!(expected.text("kind"), "plain");
        let Ok(Content::Plain(body)) = Content::parse(received.unwrap()) else { panic!("no plain message") };
        assert_eq!(body, expected.bytes("data"));
        replayed[0] += 1;
    }
    assert_eq!(replayed, [3, 4]);
}

#[test]
fn repliable_messages_travel_as_recorded() {
    let file = vectors!("packets/messages_reply.json");
    let network = Network(file.field("network"));
    let replier = EncryptionKey::from_bytes(file.field("replier").array("encryption_private"));
    let ack_key = AckKey::from_bytes(file.field("anonymous_sender").array("ack_key"));
    let packet = file.field("request_packet");
    assert_eq!(packet.text("kind"), "repliable");

    let fragment = open(&replier, &network.carry(packet, file.number("rotation_id"), &ack_key)).unwrap();
    assert_eq!(fragment, packet.bytes("fragment"));
    let mut reassembler = reassembler();
    let Inserted::Complete { message, set_ids } = reassembler.insert(Context::Unknown, &fragment, Instant::ZERO) else {
        panic!("not complete")
    };
    assert_eq!(message, [vec![1], file.bytes("repliable_body")].concat());

    let Ok(Content::Repliable { tag, data: Repliable::Data { surbs, body } }) = Content::parse(message.clone()) else {
        panic!("no repliable message")
    };
    assert_eq!(tag.0, file.array("sender_tag"));
    assert_eq!(tag.to_string(), file.text("sender_tag_text"));
    assert_eq!(SenderTag::parse(file.text("sender_tag_text")), Ok(tag));
    assert_eq!(surbs.rotation, RotationTag::Even);
    let mut replayed = 0;
    assert_eq!(surbs.surbs.len(), file.list("surbs").len());
    for (surb, expected) in surbs.surbs.iter().zip(file.list("surbs")) {
        assert_eq!([&surb.key.as_bytes()[..], &surb.surb.to_bytes()].concat(), expected.bytes("record"));
        assert_eq!(*surb.key.as_bytes(), expected.array("reply_key"));
        assert_eq!(surb.key.digest().0, expected.array("digest"));
        assert_eq!(u64::from(surbs.rotation.to_byte()), expected.number("rotation_tag"));
        replayed += 1;
    }
    assert_eq!(replayed, 2);

    // The same message written again, and cut: the bytes that the sender sealed.
    let written = Content::Repliable { tag, data: Repliable::Data { surbs, body } }.to_bytes().unwrap();
    assert_eq!(written, message);
    let fragments = Fragments::with_set_ids(written, PacketSize::Regular, set_ids).unwrap();
    assert_eq!(fragments.count(), 1);
    assert_eq!(fragments.fragment(0).unwrap(), fragment);
}

#[test]
fn replies_are_built_and_travel_as_recorded() {
    let file = vectors!("packets/messages_reply.json");
    let network = Network(file.field("network"));
    let ack_key = AckKey::from_bytes(file.field("replier").array("ack_key"));
    let message = [vec![1], file.bytes("repliable_body")].concat();
    let Ok(Content::Repliable { tag, data: Repliable::Data { surbs, .. } }) = Content::parse(message) else {
        panic!("no repliable message")
    };
    let rotation = surbs.rotation;
    let mut kept: Vec<ReplyKey> = Vec::new();
    let mut surbs: Vec<_> = surbs.surbs.into_iter().rev().collect();
    let mut replayed = 0;
    for case in file.list("replies") {
        let expected = case.field("expected");
        let content = match expected.number("reply_tag") {
            0 => Content::Reply(Reply::Data(expected.bytes("data"))),
            _ => Content::Reply(Reply::SurbRequest {
                address: Address::from_bytes(&expected.array("recipient")).unwrap(),
                amount: u32::try_from(expected.number("amount")).unwrap(),
            }),
        };

        // The replier's side: nothing but the set's identifier and the ack is chosen, so the packet is the recorded one.
        let set = FragmentId::from_bytes(&case.array("ack_fragment_identifier")).unwrap().set;
        let fragments = Fragments::with_set_ids(content.to_bytes().unwrap(), PacketSize::Regular, vec![set]).unwrap();
        assert_eq!(fragments.count(), 1);
        let fragment = fragments.fragment(0).unwrap();
        assert_eq!(fragment, case.bytes("fragment"));
        let surb = surbs.pop().unwrap();
        let sealed = seal_with(&surb.key, &fragment);
        assert_eq!(sealed, case.bytes("pushed"));
        let ack = MixPacket::parse_v2(&case.bytes("ack_mix_packet_v2")).unwrap();
        let plaintext = [ack_blob(ack.first_hop, &ack.packet), sealed].concat();
        kept.push(ReplyKey::from_bytes(*surb.key.as_bytes()));
        let (first_hop, packet) = surb.surb.apply(PacketSize::Regular, &plaintext).unwrap();
        assert_eq!(MixPacket { rotation, first_hop, packet }.to_v2(), case.bytes("mix_packet_v2"));

        // The way back, and the side that gave the SURBs out.
        let pushed = network.carry(case, file.number("rotation_id"), &ack_key);
        let Ok(Pushed::Data { head, sealed }) = Pushed::parse(&pushed) else { panic!("no data") };
        assert_eq!(head, KeyDigest(case.array("key_digest")));
        let at = kept.iter().position(|key| key.digest() == head).unwrap();
        let opened = open_with(&kept.swap_remove(at), sealed);
        assert_eq!(opened, fragment);
        let Inserted::Complete { message, set_ids } = reassembler().insert(Context::Tag(tag), &opened, Instant::ZERO)
        else {
            panic!("not complete")
        };
        assert_eq!(set_ids, [set]);
        match Content::parse(message).unwrap() {
            Content::Reply(Reply::Data(body)) => {
                assert_eq!(case.text("kind"), "reply data");
                assert_eq!(body, expected.bytes("data"));
            }
            Content::Reply(Reply::SurbRequest { address, amount }) => {
                assert_eq!(case.text("kind"), "SURB request");
                assert_eq!(address.to_bytes().to_vec(), expected.bytes("recipient"));
                assert_eq!(u64::from(amount), expected.number("amount"));
            }
            _ => panic!("no reply"),
        }
        replayed += 1;
    }
    assert_eq!(replayed, 2);
    assert!(kept.is_empty() && surbs.is_empty());
}

#[test]
fn lists_of_surbs_stand_alone_or_are_empty() {
    let file = vectors!("packets/messages_reply.json");
    let message = [vec![1], file.bytes("additional_surbs_body")].concat();
    let content = Content::parse(message.clone()).unwrap();
    let Content::Repliable { tag, data: Repliable::AdditionalSurbs(surbs) } = &content else { panic!("no SURBs") };
    assert_eq!((tag.0, surbs.surbs.len()), (file.array("sender_tag"), 1));
    assert_eq!(content.to_bytes().unwrap(), message);

    let message = [vec![1], file.bytes("data_without_surbs_body")].concat();
    let content = Content::parse(message.clone()).unwrap();
    let Content::Repliable { data: Repliable::Data { surbs, body }, .. } = &content else { panic!("no data") };
    assert_eq!((surbs.surbs.len(), &body[..]), (0, &b"no surbs"[..]));
    assert_eq!(content.to_bytes().unwrap(), message);
}

#[test]
fn older_clients_can_be_answered() {
    let file = vectors!("packets/surb.json");
    let case = file.list("cases").iter().find(|case| case.number("version") == 258).unwrap();
    let key = ReplyKey::from_bytes([3; 16]);
    let mut replayed = 0;
    for content_tag in 0..=2 {
        let count = [0, 0, 0, 1];
        let parts = [&[1][..], &[8; 16], &[content_tag], &count, key.as_bytes(), &case.bytes("surb"), b"hello"];
        let surbs = match Content::parse(parts.concat()) {
            Ok(Content::Repliable { tag: SenderTag(tag), data: Repliable::Data { surbs, body } }) => {
                assert_eq!((content_tag, tag, &body[..]), (0, [8; 16], &b"hello"[..]));
                surbs
            }
            Ok(Content::Repliable { data: Repliable::AdditionalSurbs(surbs), .. }) => {
                assert_eq!(content_tag, 1);
                surbs
            }
            Ok(Content::Repliable { data: Repliable::Heartbeat(surbs), .. }) => {
                assert_eq!(content_tag, 2);
                surbs
            }
            _ => panic!("no repliable message"),
        };
        assert_eq!((surbs.rotation, surbs.surbs.len()), (RotationTag::Unknown, 1));
        // It is used, and never written again.
        let content = Content::Repliable { tag: SenderTag([8; 16]), data: Repliable::AdditionalSurbs(surbs) };
        assert_eq!(content.to_bytes(), Err(MessageError::Surbs));
        let Content::Repliable { data: Repliable::AdditionalSurbs(mut surbs), .. } = content else { unreachable!() };
        let surb = surbs.surbs.pop().unwrap();
        assert_eq!(surb.key.digest(), key.digest());

        let plaintext = vec![0x55; PacketSize::Regular.plaintext_len()];
        let (mut at, mut packet) = surb.surb.apply(PacketSize::Regular, &plaintext).unwrap();
        let mut delivered = None;
        for node in case.list("route") {
            assert_eq!(at.to_padded_32(), node.array("node_address"));
            match Checked::new(packet, &NodePrivateKey::from_bytes(node.array("private"))).unwrap().peel().unwrap() {
                Peeled::Forward { next, packet: inner, .. } => (at, packet) = (next, inner),
                Peeled::Final { plaintext, .. } => {
                    delivered = Some(plaintext);
                    break;
                }
            }
        }
        assert_eq!(delivered, Some(plaintext));
        replayed += 1;
    }
    assert_eq!(replayed, 3);
}

#[test]
fn lists_do_not_claim_more_surbs_than_are_there() {
    // On 32 bits the product of count and record length overflows.
    for count in [1_u32, 3_691_000, 3_689_849, u32::MAX] {
        let message = [&[1][..], &[8; 16], &[0], &count.to_be_bytes(), &[0; 1163]].concat();
        assert!(matches!(Content::parse(message).err(), Some(MessageError::Length(_) | MessageError::Surbs)));
    }
    for count in [1_u16, u16::MAX] {
        let message = [&[1][..], &[8; 16], &[3], &count.to_be_bytes(), &[4, 0], &[4; 459]].concat();
        assert_eq!(Content::parse(message).err(), Some(MessageError::Length(463 - 4)));
    }
}

#[test]
fn an_ack_of_any_other_length_is_none() {
    // The published crates copy 6 bytes into 5 for the 22.
    let key = AckKey::from_bytes([9; 16]);
    for len in (0..100).filter(|len| *len != ACK_LEN) {
        assert_eq!(key.open(&vec![0; len]), None);
    }
}

#[test]
fn pushes_too_short_for_a_key_are_dropped() {
    // The published crates split these behind their end.
    let own = EncryptionKey::from_bytes([5; 32]);
    for len in (0..32).filter(|len| *len != ACK_LEN) {
        let pushed = vec![0x80; len];
        assert_eq!(Pushed::parse(&pushed).err(), Some(MessageError::Length(len)));
        assert_eq!(open(&own, &pushed), Err(MessageError::Length(len)));
    }
    for len in 32..39 {
        let opened = open(&own, &vec![0x80; len]).unwrap();
        assert!(matches!(reassembler().insert(Context::Unknown, &opened, Instant::ZERO), Inserted::Refused(_)));
    }
}

#[test]
fn nothing_is_sealed_to_a_key_of_low_order() {
    for key in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        let mut script = Script::new(&[&[5; 32]]);
        assert_eq!(seal_to(&key, b"fragment", &mut script), Err(MessageError::RecipientKey));
        let mut script = Script::new(&[&[5; 32]]);
        assert_eq!(RecipientKey::new(key).seal(b"fragment", &mut script), Err(MessageError::RecipientKey));
    }
}

#[test]
fn malformed_contents_are_refused() {
    let file = vectors!("packets/messages_reply.json");
    let mut replayed = [0; 2];
    for (kind, name) in [(1, "repliable_parse"), (2, "reply_parse")] {
        for case in file.list(name) {
            let note = case.text("note");
            let found = Content::parse([vec![kind], case.bytes("bytes")].concat());
            // The one difference to the newest crates: lists of older clients are read too.
            let accepted = case.field("result") == "ok" || note == "v1 tag 0";
            assert_eq!(found.is_ok(), accepted, "{note}");
            if accepted && note != "v1 tag 0" {
                assert_eq!(found.unwrap().to_bytes().unwrap()[1..], case.bytes("bytes"), "{note}");
            }
            replayed[usize::from(kind) - 1] += 1;
        }
    }
    assert_eq!(replayed, [13, 7]);
}

#[test]
fn cover_travels_as_recorded() {
    let file = vectors!("packets/cover.json");
    let packet = file.field("packet");
    assert_eq!(packet.text("kind"), "cover");
    let client = file.field("client");
    let ack_key = AckKey::from_bytes(client.array("ack_key"));
    let pushed = Network(file.field("network")).carry(packet, file.number("rotation_id"), &ack_key);
    assert_eq!(ack_key.open(&packet.bytes("ack_content")), Some(AckContent::Cover));
    for name in ["destination", "ack_destination"] {
        assert_eq!(packet.array::<32>(name), client.array("identity_public"));
    }

    let opened = open(&EncryptionKey::from_bytes(client.array("encryption_private")), &pushed).unwrap();
    assert_eq!(opened, cover_content(PacketSize::Regular));
    assert_eq!(opened.len(), size(packet, "decrypted_len"));
    assert_eq!(opened[..32], packet.bytes("decrypted_first_32"));
    assert!(is_cover(&opened));
    assert!(Fragment::parse(&opened).is_err());
}

#[test]
fn hostile_fragments_change_nothing() {
    let file = vectors!("packets/hostile.json");
    let mut replayed = [0; 2];
    for case in file.list("reassembly") {
        let mut reassembler = reassembler();
        assert_eq!(case.list("fragments").len(), case.list("expected").len());
        for (fragment, expected) in case.list("fragments").iter().zip(case.list("expected")) {
            let mut fragment = hex(fragment.as_str().unwrap());
            let header = Fragment::parse(&fragment).unwrap().header;
            if header.id.position == header.total && !matches!(header.link, Some(Link::Next(_))) {
                // The recorded payloads are not padded; the reassembler wants a marker at the end of a message.
                fragment.push(1);
            }
            let found = reassembler.insert(Context::Unknown, &fragment, Instant::ZERO);
            match (expected.as_str(), found) {
                (Some("wait"), Inserted::Waiting | Inserted::Repeat) | (Some("refuse"), Inserted::Refused(_)) => {}
                (None, Inserted::Complete { message, set_ids }) => {
                    assert_eq!(message, expected.bytes("payload"));
                    assert_eq!(set_ids, expected.list("sets").iter().map(set_id).collect::<Vec<_>>());
                }
                (_, found) => panic!("{}: {found:?}", case.text("name")),
            }
            replayed[1] += 1;
        }
        replayed[0] += 1;
    }
    assert_eq!(replayed, [9, 3 + 2 + 256 + 3 + 3 + 3 + 4 + 1 + 2]);
}

#[test]
fn hostile_acks_are_not_ours() {
    let file = vectors!("packets/hostile.json");
    let key = AckKey::from_bytes(file.array("ack_key"));
    let mut replayed = 0;
    for case in file.list("ack_contents") {
        let found = key.open(&case.bytes("content"));
        match case.field("expected").as_str() {
            Some(expected) => assert_eq!((expected, found), ("refuse", None), "{}", case.text("name")),
            None => {
                let expected = ack_content(&case.field("expected").array("identifier"));
                assert!(expected.is_some() && found == expected, "{}", case.text("name"));
            }
        }
        replayed += 1;
    }
    assert_eq!(replayed, 7);
}

#[test]
fn only_zeros_may_follow_the_marker() {
    let file = vectors!("packets/hostile.json");
    let mut replayed = 0;
    for case in file.list("message_padding") {
        let padded = case.bytes("padded");
        let found = unpad(&padded);
        match case.field("expected_strict").as_str() {
            Some(expected) => assert_eq!((expected, found), ("refuse", Err(MessageError::Padding))),
            None => assert_eq!(padded[..found.unwrap()], case.field("expected_strict").bytes("message")),
        }
        replayed += 1;
    }
    assert_eq!(replayed, 6);
}

#[test]
fn pushes_of_any_length_are_told_apart() {
    let file = vectors!("packets/hostile.json");
    let own = EncryptionKey::from_bytes([5; 32]);
    let key = AckKey::from_bytes([6; 16]);
    let mut replayed = 0;
    for case in file.list("pushed_lengths") {
        let pushed = vec![0x80; size(case, "length")];
        match (case.text("expected"), Pushed::parse(&pushed)) {
            ("drop", Err(MessageError::Length(_))) => assert!(open(&own, &pushed).is_err()),
            ("ack", Ok(Pushed::Ack(ack))) => {
                assert_eq!(ack.len(), ACK_LEN);
                // Garbage of this length may look like an ack of something that was never sent.
                assert_ne!(key.open(ack), Some(AckContent::Cover));
            }
            ("data, then fragment parse", Ok(Pushed::Data { head, sealed })) => {
                assert_eq!([&head.0[..], sealed].concat(), pushed);
                let opened = open(&own, &pushed).unwrap();
                assert_eq!(opened.len(), sealed.len());
                let _ = reassembler().insert(Context::Unknown, &opened, Instant::ZERO);
            }
            (expected, _) => panic!("{} bytes: {expected}", pushed.len()),
        }
        replayed += 1;
    }
    assert_eq!(replayed, 16);
}

#[test]
fn every_packet_size_has_its_room() {
    let framing = vectors!("packets/framing.json");
    let mut replayed = 0;
    for case in framing.list("sizes") {
        let tag = u8::try_from(case.number("tag")).unwrap();
        let found = fragment_room(PacketSize::from_tag(tag).unwrap());
        assert_eq!(found, size(case, "plaintext").saturating_sub(ACK_BLOB_LEN + 32));
        replayed += 1;
    }
    assert_eq!(replayed, 5);
    assert_eq!(fragment_room(PacketSize::Regular), 1611);
    assert_eq!(fragment_room(PacketSize::Extended32), 32_331);
    assert_eq!(fragment_room(PacketSize::Ack), 0);
}

/// The recorded nodes, by where they listen.
struct Network<'a>(&'a Value);

impl<'a> Network<'a> {
    /// The route that acks of the first gateway's clients take.
    fn nodes(&self) -> [&'a Value; 5] {
        let gateways = self.0.list("gateways");
        [self.0.field("layer1"), self.0.field("layer2"), self.0.field("layer3"), &gateways[0], &gateways[1]]
    }

    fn key(&self, socket: &str) -> NodePrivateKey {
        let nodes = self.nodes();
        let node = nodes.iter().find(|node| node.text("socket") == socket).expect(socket);
        NodePrivateKey::from_bytes(node.array("private"))
    }

    /// Carries a packet to its recipient and its ack back, checks every step, and gives what was pushed.
    fn carry(&self, packet: &Value, rotation_id: u64, ack_key: &AckKey) -> Vec<u8> {
        let rotation = RotationTag::from_rotation_id(u32::try_from(rotation_id).unwrap());
        let sent = MixPacket::parse_v2(&packet.bytes("mix_packet_v2")).unwrap();
        assert_eq!(sent.rotation, rotation);
        let plaintext = self.peel_all(sent, packet.list("hops"), &packet.array("destination"));
        let (first_hop, ack, pushed) = split_ack_blob(&plaintext).unwrap();
        assert_eq!(pushed, packet.bytes("pushed"));
        // Put together again it is what the sender made.
        assert_eq!([ack_blob(first_hop, &ack), pushed.to_vec()].concat(), plaintext);

        let ack = MixPacket { rotation, first_hop, packet: ack };
        assert_eq!(ack.to_v2(), packet.bytes("ack_mix_packet_v2"));
        let content = self.peel_all(ack, packet.list("ack_hops"), &packet.array("ack_destination"));
        assert_eq!(content, packet.bytes("ack_content"));
        let Ok(Pushed::Ack(content)) = Pushed::parse(&content) else { panic!("no ack") };
        let identifier = ack_content(&packet.array("ack_fragment_identifier")).unwrap();
        assert_eq!(ack_key.open(content), Some(identifier));
        // Sealed with the same random bytes it is the same ack.
        let mut script = Script::new(&[&content[..16]]);
        assert_eq!(ack_key.seal(identifier, &mut script), *content);
        script.finish();
        pushed.to_vec()
    }

    fn peel_all(&self, sent: MixPacket, hops: &[Value], destination: &[u8; 32]) -> Vec<u8> {
        let MixPacket { rotation, first_hop, mut packet } = sent;
        let mut at = socket(first_hop);
        for hop in hops {
            assert_eq!(at, hop.text("node"));
            let frame = NodeFrame { rotation, packet }.to_v8();
            assert_eq!(frame[..4], hop.bytes("frame_header"));
            assert_eq!(*blake3::hash(&frame).as_bytes(), hop.array("frame_blake3"));
            let (frame, used) = NodeFrame::decode(&frame).unwrap().unwrap();
            assert_eq!((used, frame.rotation), (4 + frame.packet.as_bytes().len(), rotation));
            match Checked::new(frame.packet, &self.key(&at)).unwrap().peel().unwrap() {
                Peeled::Forward { next, delay, packet: inner } => {
                    assert_eq!(hop.text("result"), "forward");
                    assert_eq!(delay.nanos(), hop.number("delay_ns"));
                    at = socket(next);
                    assert_eq!(at, hop.text("next"));
                    packet = inner;
                }
                Peeled::Final { destination: found, plaintext, size, .. } => {
                    assert_eq!(hop.text("result"), "final");
                    assert_eq!(found.0, hop.array("destination"));
                    assert_eq!(found.0, *destination);
                    assert_eq!(hop.field("has_ack"), size != PacketSize::Ack);
                    return plaintext;
                }
            }
        }
        panic!("the packet did not arrive")
    }
}

fn socket(address: NodeAddress) -> String {
    core::net::SocketAddr::from(address).to_string()
}

fn reassembler() -> Reassembler {
    Reassembler::new(Budget::default(), &mut Script::new(&[&[1; 32]]))
}

fn ack_content(identifier: &[u8; 5]) -> Option<AckContent> {
    match identifier {
        [0, 0, 0, 0, 0] => Some(AckContent::Cover),
        identifier => FragmentId::from_bytes(identifier).map(AckContent::Fragment),
    }
}

fn set_id(value: &Value) -> SetId {
    SetId::new(u32::try_from(value.as_u64().unwrap()).unwrap()).unwrap()
}

fn size(value: &Value, name: &str) -> usize {
    usize::try_from(value.number(name)).unwrap()
}
