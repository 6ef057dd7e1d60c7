//! Both halves against each other, and each against a peer that does not behave.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::net::{Ipv4Addr, SocketAddr};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::client::{
    HandshakeError, LoggedIn, LoginFailure, Registered, Registering, Step, login_reply, login_request,
};
use super::frame::TypedError;
use super::server::{Balance, LOGIN_SKEW_SECS, Output, Registry, Session};
use super::*;
use crate::limits;
use crate::message::GatewayId;
use crate::sphinx::{MixPacket, NodeAddress, Packet, RotationTag};

#[test]
fn a_client_registers_claims_sends_and_receives() {
    let mut world = World::new();
    let (mut session, registered) = world.register();
    assert_eq!((registered.version, registered.upgrade_mode), (6, false));
    let shared = registered.shared;

    // Bandwidth is metered also where it is free.
    let packet = packet();
    let frame = seal_request(&shared, &packet.to_v2(), true, &mut world.rng);
    assert_eq!(
        replies(session.handle_binary(&frame, &mut world.gateway)),
        [ServerText::TypedError { error: TypedError::OutOfBandwidth { required: 2413, available: 0 } }]
    );
    assert_eq!(
        world.say(&mut session, &ClientText::ClaimFreeTestnetBandwidth),
        [ServerText::Bandwidth { available_total: FREE_BANDWIDTH, upgrade_mode: false }]
    );
    for (v2, rotation) in [(true, packet.rotation), (false, RotationTag::Unknown)] {
        let bytes = if v2 { packet.to_v2() } else { packet.to_v1() };
        let frame = seal_request(&shared, &bytes, v2, &mut world.rng);
        let outputs = session.handle_binary(&frame, &mut world.gateway);
        assert_eq!(outputs[0], Output::Forward(MixPacket { rotation, ..packet.clone() }));
        assert!(matches!(outputs[1..], [Output::Text(_)]));
    }
    assert_eq!(world.gateway.balances[&world.client()].bytes, FREE_BANDWIDTH - 2 * 2413);

    let push = session.push(&[5; 21], &world.gateway, &mut world.rng).unwrap();
    assert_eq!(open_push(&shared, &push), Ok(vec![5; 21]));
}

#[test]
fn the_inbox_comes_before_the_answer_under_the_key_of_the_time() {
    let mut world = World::new();
    world.gateway.inbox = vec![vec![1; 21], vec![2; 1643]];
    let (mut session, state) = world.shake_hands();
    let shared = state.shared().unwrap();
    let stored = pushes(&world.last, shared);
    assert_eq!(stored, [vec![1; 21], vec![2; 1643]]);
    assert!(matches!(world.last.last(), Some(Output::Text(text)) if text.contains("register")));
    // The session is in already, and its inbox is empty.
    assert!(session.push(&[3; 21], &world.gateway, &mut world.rng).is_some());

    world.gateway.inbox = vec![vec![4; 21]];
    session = Session::new();
    let key = SharedKey::from_bytes(shared.as_bytes());
    let login = login_request(&world.identity, &key, 6, world.gateway.now, &mut world.rng);
    let outputs = session.handle_text(&login.to_text(), &mut world.gateway, &mut world.rng);
    assert_eq!(pushes(&outputs, &key), [vec![4; 21]]);
    assert!(matches!(&outputs[..], [Output::Binary(_), Output::Text(text)] if text.contains("authenticate")));
}

#[test]
fn a_client_logs_in_with_every_version_from_four_to_six() {
    let mut world = World::new();
    let (_, registered) = world.register();
    for version in 4..=6 {
        world.gateway.now += 1;
        let login = login_request(&world.identity, &registered.shared, version, world.gateway.now, &mut world.rng);
        let answers = world.say(&mut Session::new(), &login);
        assert!(
            matches!(answers[..], [ServerText::Authenticate { protocol_version, .. }] if protocol_version == version)
        );
        assert_eq!(login_reply(&answers[0]), Some(Ok(LoggedIn { bandwidth: 0, upgrade_mode: false })));
    }
    for version in [0, 3, 7, 255] {
        world.gateway.now += 1;
        let login = login_request(&world.identity, &registered.shared, version, world.gateway.now, &mut world.rng);
        assert_eq!(world.refused(&login), LoginFailure::Version);
    }
}

#[test]
fn a_login_is_refused_for_the_reason_there_is() {
    let mut world = World::new();
    let now = world.gateway.now;
    let stranger = SharedKey::from_bytes(&[1; 32]);
    let login = login_request(&world.identity, &stranger, 6, now, &mut world.rng);
    assert_eq!(world.refused(&login), LoginFailure::NotRegistered);

    let (_, registered) = world.register();
    let login = login_request(&world.identity, &stranger, 6, now, &mut world.rng);
    assert_eq!(world.refused(&login), LoginFailure::KeysDiffer);

    let shared = registered.shared;
    for time in [now - LOGIN_SKEW_SECS - 1, now + LOGIN_SKEW_SECS + 1] {
        let login = login_request(&world.identity, &shared, 6, time, &mut world.rng);
        assert_eq!(world.refused(&login), LoginFailure::ClockSkew { server_unix: Some(now) });
    }

    let ClientText::AuthenticateV2(mut forged) = login_request(&world.identity, &shared, 6, now, &mut world.rng) else {
        panic!("not a login")
    };
    forged.unix_seconds += 1;
    assert_eq!(world.refused(&ClientText::AuthenticateV2(forged)), LoginFailure::Other);

    let login = login_request(&world.identity, &shared, 6, now, &mut world.rng);
    assert!(login_reply(&world.say(&mut Session::new(), &login)[0]).unwrap().is_ok());
    let again = login_request(&world.identity, &shared, 6, now, &mut world.rng);
    assert_eq!(world.refused(&again), LoginFailure::TimestampUsed);

    world.gateway.closed_to_newcomers = true;
    let login = login_request(&world.identity, &shared, 6, now + 1, &mut world.rng);
    assert_eq!(world.refused(&login), LoginFailure::AlreadyConnected);
    // A login that was refused does not use its time up.
    world.gateway.closed_to_newcomers = false;
    assert!(login_reply(&world.say(&mut Session::new(), &login)[0]).unwrap().is_ok());
}

#[test]
fn the_newest_login_wins() {
    let mut world = World::new();
    world.register();
    assert_eq!(world.gateway.taken_over, 1);
    world.register();
    assert_eq!(world.gateway.taken_over, 2);
}

#[test]
fn free_bandwidth_dies_at_midnight() {
    let mut world = World::new();
    let (mut session, registered) = world.register();
    world.say(&mut session, &ClientText::ClaimFreeTestnetBandwidth);
    let midnight = (world.gateway.now / 86_400 + 1) * 86_400;
    assert_eq!(world.gateway.balances[&world.client()].expires_unix, midnight);
    let mut send = |now: u64| {
        world.gateway.now = now;
        let frame = seal_request(&registered.shared, &packet().to_v2(), true, &mut world.rng);
        session.handle_binary(&frame, &mut world.gateway).len()
    };
    assert_eq!(send(midnight - 1), 2, "forwarded and answered");
    assert_eq!(send(midnight), 1, "refused");
    assert_eq!(
        world.say(&mut session, &ClientText::ClaimFreeTestnetBandwidth),
        [ServerText::Bandwidth { available_total: FREE_BANDWIDTH, upgrade_mode: false }]
    );
}

#[test]
fn a_paying_gateway_refuses_the_free_claim_and_takes_tickets() {
    let mut world = World::new();
    world.gateway.paying = true;
    let (mut session, registered) = world.register();
    let refused = world.say(&mut session, &ClientText::ClaimFreeTestnetBandwidth);
    let [ServerText::Error { message }] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!(LoginFailure::from_message(message), LoginFailure::Credentials);
    let iv = [3; 12];
    let ticket = |text: &[u8]| ClientText::EcashCredential { enc_credential: registered.shared.seal(&iv, text), iv };
    assert!(matches!(world.say(&mut session, &ticket(b"forged"))[..], [ServerText::Error { .. }]));
    let granted = world.say(&mut session, &ticket(b"ticket"));
    assert_eq!(granted, [ServerText::Bandwidth { available_total: 200_000_000, upgrade_mode: false }]);
}

#[test]
fn nothing_is_metered_in_upgrade_mode() {
    let mut world = World::new();
    let (mut session, registered) = world.register();
    let token = ClientText::UpgradeModeJwt { token: "token".into() };
    let answer = world.say(&mut session, &token);
    assert_eq!(answer, [ServerText::Bandwidth { available_total: BANDWIDTH_REFILL + 1, upgrade_mode: true }]);
    let frame = seal_request(&registered.shared, &packet().to_v2(), true, &mut world.rng);
    assert_eq!(session.handle_binary(&frame, &mut world.gateway).len(), 2);
}

#[test]
fn a_client_is_forgotten_when_it_asks_for_it() {
    let mut world = World::new();
    let (mut session, registered) = world.register();
    let shared = registered.shared;
    for (request, expected) in [
        (ControlRequest::RememberMe { session_type: SessionKind::Wasm }, ControlReply::RememberMeAck),
        (ControlRequest::ForgetMe { client: false, stats: true }, ControlReply::ForgetMeAck),
        (ControlRequest::ForgetMe { client: true, stats: true }, ControlReply::ForgetMeAck),
    ] {
        assert!(world.gateway.keys.contains_key(&world.client()));
        let sealed = request.seal(&shared, &mut world.rng);
        let answers = world.say(&mut session, &sealed);
        let [ServerText::EncryptedResponse { ciphertext, nonce }] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!(ControlReply::open(&shared, ciphertext, nonce), Ok(expected));
    }
    assert!(world.gateway.keys.is_empty());
    assert_eq!(session.push(&[0; 21], &world.gateway, &mut world.rng), None);
    let frame = seal_request(&shared, &packet().to_v2(), true, &mut world.rng);
    assert!(matches!(replies(session.handle_binary(&frame, &mut world.gateway))[..], [ServerText::Error { .. }]));
    let login = login_request(&world.identity, &shared, 6, world.gateway.now, &mut world.rng);
    assert_eq!(world.refused(&login), LoginFailure::NotRegistered);
}

#[test]
fn the_version_is_told_at_any_time_but_in_a_handshake() {
    let mut world = World::new();
    let told = [ServerText::SupportedProtocol { version: 6 }];
    let mut session = Session::new();
    for _ in 0..3 {
        assert_eq!(world.say(&mut session, &ClientText::SupportedProtocol), told);
    }
    let (_, init) = Registering::start(&world.identity, world.gateway_id(), 6, &mut world.rng);
    world.say(&mut session, &init);
    assert_eq!(world.say(&mut session, &ClientText::SupportedProtocol), []);
    let (mut session, _) = world.register();
    assert_eq!(world.say(&mut session, &ClientText::SupportedProtocol), told);
}

#[test]
fn before_a_login_anything_else_gets_one_error_and_the_end() {
    let mut world = World::new();
    for text in ["", "{}", "[]", r#"{"type":"unknown"}"#, r#"{"type":"claimFreeTestnetBandwidth"}"#, LEGACY] {
        let mut session = Session::new();
        let outputs = session.handle_text(text, &mut world.gateway, &mut world.rng);
        assert!(matches!(&outputs[..], [Output::Text(_), Output::Close]), "{text}");
        assert_eq!(session.handle_text(text, &mut world.gateway, &mut world.rng), []);
        assert_eq!(session.handle_timeout(), []);
    }
    let mut session = Session::new();
    assert!(matches!(&session.handle_binary(&[1; 99], &mut world.gateway)[..], [Output::Text(_), Output::Close]));
    assert!(matches!(&Session::new().handle_timeout()[..], [Output::Text(_), Output::Close]));
}

#[test]
fn after_a_login_errors_leave_the_session_open() {
    let mut world = World::new();
    let (mut session, registered) = world.register();
    let (_, init) = Registering::start(&world.identity, world.gateway_id(), 6, &mut world.rng);
    let login = login_request(&world.identity, &registered.shared, 6, world.gateway.now, &mut world.rng);
    for text in ["", r#"{"type":"unknown"}"#, LEGACY, &init.to_text(), &login.to_text()] {
        let outputs = session.handle_text(text, &mut world.gateway, &mut world.rng);
        assert!(matches!(replies(outputs)[..], [ServerText::Error { .. }]), "{text}");
    }
    let shared = &registered.shared;
    let plain = [&[1, 0][..], &[0; 12], &packet().to_v1()].concat();
    let malformed = seal_request(shared, &[0; 50], true, &mut world.rng);
    let wrong_key = seal_request(&SharedKey::from_bytes(&[0; 32]), &packet().to_v2(), true, &mut world.rng);
    let wrong_kind = seal_request(shared, &packet().to_v2(), false, &mut world.rng);
    for frame in [&[][..], &plain, &malformed, &wrong_key, &wrong_kind] {
        assert!(matches!(replies(session.handle_binary(frame, &mut world.gateway))[..], [ServerText::Error { .. }]));
    }
    assert_eq!(session.handle_timeout(), []);
    assert!(session.client().is_some());
}

#[test]
fn a_handshake_that_fails_is_refused_three_times() {
    let mut world = World::new();
    let init = |data: Vec<u8>| ClientText::HandshakePayload { protocol_version: 6, data };
    let good = {
        let (_, ClientText::HandshakePayload { data, .. }) =
            Registering::start(&world.identity, world.gateway_id(), 6, &mut world.rng)
        else {
            panic!("not a handshake")
        };
        data
    };
    let zero_key = [&good[..32], &[0; 32], &good[64..]].concat();
    // Too short to name a client: only the two errors.
    assert_eq!(world.outputs(&mut Session::new(), &init(vec![0; 31])).len(), 2 + 1);
    for data in [good[..79].to_vec(), [&good[..], &[0]].concat(), good[..64].to_vec(), zero_key] {
        let outputs = world.outputs(&mut Session::new(), &init(data));
        assert!(matches!(&outputs[..], [Output::Text(text), _, _, Output::Close] if text.contains("handshakeError")));
    }
    // Another client's signature, one that does not open, wrong lengths, giving up, and silence.
    let mut replay = vec![init(vec![0; 92]), init(vec![0; 91]), init(vec![0; 93]), init(Vec::new())];
    replay.push(ClientText::HandshakeError { message: "no".into() });
    for last in replay {
        let mut session = Session::new();
        assert_eq!(world.outputs(&mut session, &init(good.clone())).len(), 1);
        let outputs = world.outputs(&mut session, &last);
        assert!(matches!(&outputs[..], [Output::Text(_), Output::Text(_), Output::Text(_), Output::Close]), "{last:?}");
        assert_eq!(session.client(), None);
    }
    let mut session = Session::new();
    world.outputs(&mut session, &init(good));
    assert_eq!(session.handle_timeout().len(), 4);
    assert!(world.gateway.keys.is_empty());
}

#[test]
fn a_client_cannot_register_as_somebody_else() {
    let mut world = World::new();
    let other = IdentityKeypair::generate(&mut world.rng);
    let mut session = Session::new();
    let (state, init) = Registering::start(&world.identity, world.gateway_id(), 6, &mut world.rng);
    let answer = world.say(&mut session, &init).remove(0);
    // The third step signed by another key than the first one names.
    let Ok(Step::Send(_, frame)) = state.next(&answer, &other) else { panic!("no third step") };
    assert_eq!(world.outputs(&mut session, &frame).len(), 4);
    assert!(world.gateway.keys.is_empty());
}

#[test]
fn a_client_refuses_every_handshake_that_is_not_by_its_gateway() {
    type Change = fn(&mut u8, &mut Vec<u8>);
    let changes: [(Change, HandshakeError); 9] = [
        (|version, _| *version = 3, HandshakeError::Version(3)),
        (|version, _| *version = 7, HandshakeError::Version(7)),
        (|_, data| data.truncate(123), HandshakeError::Length(123)),
        (|_, data| data.push(0), HandshakeError::Length(125)),
        (|_, data| data.clear(), HandshakeError::Length(0)),
        (|_, data| data[..32].fill(0), HandshakeError::WeakKey),
        (|_, data| data[..32].copy_from_slice(&[&[1][..], &[0; 31]].concat()), HandshakeError::WeakKey),
        (|_, data| data[40] ^= 1, HandshakeError::Authentication),
        (|_, data| data[0] ^= 1, HandshakeError::Authentication),
    ];
    for (change, expected) in changes {
        let mut world = World::new();
        let (state, init) = Registering::start(&world.identity, world.gateway_id(), 6, &mut world.rng);
        let Some(ServerText::HandshakePayload { mut protocol_version, mut data }) =
            world.say(&mut Session::new(), &init).pop()
        else {
            panic!("no second step")
        };
        change(&mut protocol_version, &mut data);
        let changed = ServerText::HandshakePayload { protocol_version, data };
        assert_eq!(error(state.next(&changed, &world.identity)), expected);
        assert!(expected.farewell().is_some());
    }
    // An honest gateway, but another one than we wanted.
    let mut world = World::new();
    let wanted = IdentityKeypair::generate(&mut world.rng).gateway_id();
    let (state, init) = Registering::start(&world.identity, wanted, 6, &mut world.rng);
    let answer = world.say(&mut Session::new(), &init).remove(0);
    assert_eq!(error(state.next(&answer, &world.identity)), HandshakeError::Signature);
}

#[test]
fn a_gateway_key_of_small_order_signs_nothing() {
    // The neutral element "verifies" a signature made of itself and zero for every message unless it is refused.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    assert!(!keys::verify(&neutral, b"anything", &signature));
    // The same signature with the group order added to its second half.
    let identity = IdentityKeypair::from_bytes(&[1; 32]);
    let id = identity.client_id().0;
    let good = identity.sign(b"message");
    assert!(keys::verify(&id, b"message", &good));
    let order = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut malleated = good;
    let mut carry = 0;
    for (byte, add) in malleated[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + add + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert!(!keys::verify(&id, b"message", &malleated));
}

#[test]
fn a_client_waits_for_one_reply_at_a_time() {
    let refused = HandshakeError::Refused(LoginFailure::Other);
    let error_frame = ServerText::Error { message: "already an open connection".into() };
    let register = |protocol_version, status| ServerText::Register { protocol_version, status, upgrade_mode: false };
    let payload = |data: &[u8]| ServerText::HandshakePayload { protocol_version: 6, data: data.to_vec() };
    let login =
        ServerText::Authenticate { protocol_version: 6, status: true, bandwidth_remaining: 0, upgrade_mode: false };

    // Before the gateway has shown its key.
    let start = |world: &mut World| Registering::start(&world.identity, world.gateway_id(), 6, &mut world.rng).0;
    for (frame, expected) in [
        (register(6, true), HandshakeError::Unexpected),
        (login.clone(), HandshakeError::Unexpected),
        (ServerText::Unknown, HandshakeError::Unexpected),
        (error_frame.clone(), HandshakeError::Refused(LoginFailure::AlreadyConnected)),
        (ServerText::HandshakeError { message: String::new() }, refused),
    ] {
        let mut world = World::new();
        let state = start(&mut world);
        assert!(state.shared().is_none());
        assert_eq!(error(state.next(&frame, &world.identity)), expected);
    }
    // Before the confirmation.
    for (frame, expected) in [
        (payload(&[0]), refused),
        (payload(&[2]), refused),
        (payload(&[]), HandshakeError::Length(0)),
        (payload(&[1, 1]), HandshakeError::Length(2)),
        (register(6, true), HandshakeError::Unexpected),
    ] {
        let mut world = World::new();
        let (state, _) = world.two_steps();
        assert_eq!(error(state.next(&frame, &world.identity)), expected);
    }
    // Before the end.
    for (frame, expected) in [
        (register(6, false), refused),
        (register(7, true), HandshakeError::Version(7)),
        (register(3, true), HandshakeError::Version(3)),
        (payload(&[1]), HandshakeError::Unexpected),
        (login, HandshakeError::Unexpected),
    ] {
        let mut world = World::new();
        let (_, state) = world.shake_hands();
        assert_eq!(error(state.next(&frame, &world.identity)), expected);
    }
    // A late answer to a version request disturbs nothing, and an old gateway need not repeat the version.
    let mut world = World::new();
    let (_, state) = world.shake_hands();
    let Ok(Step::Wait(state)) = state.next(&ServerText::SupportedProtocol { version: 6 }, &world.identity) else {
        panic!("disturbed")
    };
    let Ok(Step::Done(registered)) = state.next(&register(0, true), &world.identity) else { panic!("not done") };
    assert_eq!(registered.version, 6);
}

#[test]
fn a_login_ends_with_the_first_answer_that_counts() {
    let answer = |protocol_version, status| {
        login_reply(&ServerText::Authenticate { protocol_version, status, bandwidth_remaining: -5, upgrade_mode: true })
    };
    assert_eq!(answer(6, true), Some(Ok(LoggedIn { bandwidth: -5, upgrade_mode: true })));
    assert_eq!(answer(0, true), Some(Ok(LoggedIn { bandwidth: -5, upgrade_mode: true })));
    assert_eq!(answer(7, true), Some(Err(HandshakeError::Version(7))));
    assert_eq!(answer(6, false), Some(Err(HandshakeError::Refused(LoginFailure::Other))));
    assert_eq!(login_reply(&ServerText::SupportedProtocol { version: 6 }), None);
    assert_eq!(login_reply(&ServerText::Unknown), Some(Err(HandshakeError::Unexpected)));
}

#[test]
fn refusals_are_sorted_by_what_they_say() {
    let skew = |text: &str| LoginFailure::from_message(&format!("timestamp is excessively skewed. {text}"));
    let at = |server_unix| LoginFailure::ClockSkew { server_unix };
    let ours = "2026-05-17 6:38:00.0 +00:00:00";
    let theirs = "2026-05-17 6:40:00.123456789 +00:00:00";
    assert_eq!(skew(&format!("got {ours} whilst the server time is {theirs}")), at(Some(1_779_000_000)));
    assert_eq!(skew(&format!("received: {ours}, server: {theirs}")), at(Some(1_779_000_000)));
    assert_eq!(skew(&format!("server: {theirs}, received: {ours}")), at(Some(1_779_000_000)));
    assert_eq!(skew(&format!("{ours} is too far from {theirs}")), at(Some(1_779_000_000)));
    assert_eq!(skew("the server does not say"), at(None));
    for (text, expected) in [
        ("gateway returned an error response: the client is not registered", LoginFailure::NotRegistered),
        ("there is already an open connection to this client", LoginFailure::AlreadyConnected),
        ("this is a stale authentication request", LoginFailure::Stale),
        ("timestamp is smaller or equal to one previously used", LoginFailure::TimestampUsed),
        ("failed to verify provided address ciphertext", LoginFailure::KeysDiffer),
        ("incompatible protocol version", LoginFailure::Version),
        ("This gateway is only accepting coconut credentials for bandwidth", LoginFailure::Credentials),
        ("Internal gateway storage error", LoginFailure::Storage),
        ("internal gateway storage error", LoginFailure::Storage),
        ("<script>", LoginFailure::Other),
    ] {
        assert_eq!(LoginFailure::from_message(text), expected, "{text}");
    }
}

#[test]
fn prose_is_cut_between_characters() {
    let long = "ä".repeat(limits::FRAME_PROSE_MAX) + "end";
    let frame = ServerText::parse(&ServerText::Error { message: long }.to_text()).unwrap();
    let ServerText::Error { message } = frame else { panic!("{frame:?}") };
    assert_eq!(message, "ä".repeat(limits::FRAME_PROSE_MAX / 2));
    let odd = String::from("x") + &"ä".repeat(limits::FRAME_PROSE_MAX);
    let ServerText::Error { message } = ServerText::parse(&ServerText::Error { message: odd }.to_text()).unwrap()
    else {
        panic!("no error")
    };
    assert_eq!(message.len(), limits::FRAME_PROSE_MAX - 1);
}

#[test]
fn frames_have_caps_and_exact_types() {
    let too_long = format!(r#"{{"type":"error","message":"{}"}}"#, "x".repeat(limits::FRAME_LEN_MAX));
    assert_eq!(ServerText::parse(&too_long), Err(FrameError::TooLong(too_long.len())));
    let bytes = |len: usize| vec!["1"; len].join(",");
    let sealed =
        |len| format!(r#"{{"type":"encryptedResponse","ciphertext":[{}],"nonce":[{}]}}"#, bytes(len), bytes(12));
    assert!(ServerText::parse(&sealed(limits::FRAME_CIPHERTEXT_MAX)).is_ok());
    assert_eq!(ServerText::parse(&sealed(limits::FRAME_CIPHERTEXT_MAX + 1)), Err(FrameError::Malformed));
    for text in [
        r#"["supportedProtocol",6]"#,
        r#"{"type":"supportedProtocol","version":6} x"#,
        r#"{"type":"supportedProtocol","version":"6"}"#,
        r#"{"type":"supportedProtocol","version":-1}"#,
        r#"{"type":"supportedProtocol"}"#,
        r#"{"type":"supportedProtocol","version":6,"version":5}"#,
        r#"{"type":"supportedProtocol","type":"send","version":6}"#,
        r#"{"type":"register","status":1}"#,
        r#"{"type":"handshakePayload","data":"AQ=="}"#,
        r#"{"type":"handshakePayload","data":[1.0]}"#,
        r#"{"type":"handshakePayload","data":[-1]}"#,
        r#"{"type":"typedError","error":"something"}"#,
        r#"{"type":7}"#,
        r#""error""#,
        "null",
        "",
    ] {
        assert_eq!(ServerText::parse(text), Err(FrameError::Malformed), "{text}");
    }
    // Depth costs nothing: where it is not asked for it is skipped without recursion.
    let deep = |field| {
        let (open, close) = ("[".repeat(9000), "]".repeat(9000));
        ServerText::parse(&format!(r#"{{"type":"send","{field}":{open}{close},"upgrade_mode":false}}"#))
    };
    assert_eq!(deep("remaining_bandwidth"), Err(FrameError::Malformed));
    assert_eq!(deep("x"), Err(FrameError::Malformed), "the balance is missing");
    let shared = SharedKey::from_bytes(&[0; 32]);
    let frame = vec![1; limits::FRAME_LEN_MAX + 1];
    assert_eq!(open_push(&shared, &frame), Err(FrameError::TooLong(frame.len())));
}

const LEGACY: &str = r#"{"type":"authenticate","protocol_version":3,"address":"a","enc_address":"b","iv":"c"}"#;

/// A client and a gateway.
struct World {
    rng: ChaCha20Rng,
    identity: IdentityKeypair,
    gateway: Gateway,
    last: Vec<Output>,
}

impl World {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        Self {
            identity: IdentityKeypair::generate(&mut rng),
            gateway: Gateway::new(IdentityKeypair::generate(&mut rng)),
            last: Vec::new(),
            rng,
        }
    }

    fn client(&self) -> ClientId {
        self.identity.client_id()
    }

    fn gateway_id(&self) -> GatewayId {
        self.gateway.identity.gateway_id()
    }

    fn outputs(&mut self, session: &mut Session, frame: &ClientText) -> Vec<Output> {
        session.handle_text(&frame.to_text(), &mut self.gateway, &mut self.rng)
    }

    fn say(&mut self, session: &mut Session, frame: &ClientText) -> Vec<ServerText> {
        replies(self.outputs(session, frame))
    }

    /// Why a new connection with this login is refused.
    fn refused(&mut self, login: &ClientText) -> LoginFailure {
        let mut session = Session::new();
        let outputs = self.outputs(&mut session, login);
        let [Output::Text(first), Output::Text(second), Output::Close] = &outputs[..] else { panic!("{outputs:?}") };
        assert_eq!(first, second);
        assert_eq!(session.client(), None);
        match login_reply(&ServerText::parse(first).unwrap()) {
            Some(Err(HandshakeError::Refused(failure))) => failure,
            other => panic!("{other:?}"),
        }
    }

    /// The first two steps of a handshake, and the third for the gateway.
    fn two_steps(&mut self) -> (Registering, (Session, ClientText)) {
        let mut session = Session::new();
        let (state, init) = Registering::start(&self.identity, self.gateway_id(), 6, &mut self.rng);
        let answer = self.say(&mut session, &init).remove(0);
        match state.next(&answer, &self.identity) {
            Ok(Step::Send(state, frame)) => (state, (session, frame)),
            _ => panic!("no third step"),
        }
    }

    /// All four steps. What the gateway said at the end is in `last`.
    fn shake_hands(&mut self) -> (Session, Registering) {
        let (state, (mut session, frame)) = self.two_steps();
        self.last = self.outputs(&mut session, &frame);
        let Output::Text(confirmation) = self.last.remove(0) else { panic!("no confirmation") };
        match state.next(&ServerText::parse(&confirmation).unwrap(), &self.identity) {
            Ok(Step::Wait(state)) => (session, state),
            _ => panic!("not confirmed"),
        }
    }

    fn register(&mut self) -> (Session, Registered) {
        let (session, state) = self.shake_hands();
        let Some(Output::Text(register)) = self.last.pop() else { panic!("no end") };
        match state.next(&ServerText::parse(&register).unwrap(), &self.identity) {
            Ok(Step::Done(registered)) => (session, registered),
            _ => panic!("not registered"),
        }
    }
}

struct Gateway {
    identity: IdentityKeypair,
    keys: BTreeMap<ClientId, SharedKey>,
    logins: BTreeMap<ClientId, u64>,
    balances: BTreeMap<ClientId, Balance>,
    inbox: Vec<Vec<u8>>,
    now: u64,
    paying: bool,
    upgraded: bool,
    closed_to_newcomers: bool,
    taken_over: usize,
}

impl Gateway {
    fn new(identity: IdentityKeypair) -> Self {
        Self {
            identity,
            keys: BTreeMap::new(),
            logins: BTreeMap::new(),
            balances: BTreeMap::new(),
            inbox: Vec::new(),
            now: 1_779_000_000,
            paying: false,
            upgraded: false,
            closed_to_newcomers: false,
            taken_over: 0,
        }
    }
}

impl Registry for Gateway {
    fn identity(&self) -> &IdentityKeypair {
        &self.identity
    }

    fn now_unix(&self) -> u64 {
        self.now
    }

    fn shared_key(&self, client: &ClientId) -> Option<&SharedKey> {
        self.keys.get(client)
    }

    fn set_shared_key(&mut self, client: &ClientId, shared: SharedKey) {
        self.keys.insert(*client, shared);
    }

    fn forget(&mut self, client: &ClientId) {
        self.keys.remove(client);
        self.balances.remove(client);
        self.inbox.clear();
    }

    fn last_login(&self, client: &ClientId) -> u64 {
        self.logins.get(client).copied().unwrap_or(0)
    }

    fn set_last_login(&mut self, client: &ClientId, unix_seconds: u64) {
        self.logins.insert(*client, unix_seconds);
    }

    fn balance(&self, client: &ClientId) -> Balance {
        self.balances.get(client).copied().unwrap_or_default()
    }

    fn set_balance(&mut self, client: &ClientId, balance: Balance) {
        self.balances.insert(*client, balance);
    }

    fn take_over(&mut self, _: &ClientId) -> bool {
        self.taken_over += 1;
        !self.closed_to_newcomers
    }

    fn take_stored(&mut self, _: &ClientId) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.inbox)
    }

    fn free_claims(&self) -> bool {
        !self.paying
    }

    fn upgrade_mode(&self) -> bool {
        self.upgraded
    }

    fn redeem(&mut self, _: &ClientId, ticket: &[u8]) -> bool {
        ticket == b"ticket"
    }

    fn upgrade(&mut self, token: &str) -> bool {
        self.upgraded = token == "token";
        self.upgraded
    }
}

fn packet() -> MixPacket {
    MixPacket {
        rotation: RotationTag::Odd,
        first_hop: NodeAddress::from(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 1789))),
        packet: Packet::from_bytes(vec![7; 2413]).unwrap(),
    }
}

fn replies(outputs: Vec<Output>) -> Vec<ServerText> {
    let text = |output| match output {
        Output::Text(text) => ServerText::parse(&text).unwrap(),
        other => panic!("{other:?}"),
    };
    outputs.into_iter().map(text).collect()
}

fn pushes(outputs: &[Output], shared: &SharedKey) -> Vec<Vec<u8>> {
    let open = |output: &Output| match output {
        Output::Binary(frame) => Some(open_push(shared, frame).unwrap()),
        _ => None,
    };
    outputs.iter().filter_map(open).collect()
}

fn error(step: Result<Step, HandshakeError>) -> HandshakeError {
    match step {
        Err(error) => error,
        Ok(_) => panic!("not refused"),
    }
}
