//! The gateway room's bytes: the handshake, logins, binary and text frames.

use mixlet::gateway::client::{HandshakeError, Registered, Registering, Step, login_request, negotiate};
use mixlet::gateway::server::{Balance, Output, Registry, Session};
use mixlet::gateway::{
    ClientId, ClientText, ControlReply, ControlRequest, FrameError, IdentityKeypair, ServerText, SharedKey, open_push,
    open_request, seal_push, seal_request,
};
use mixlet::message::GatewayId;
use mixlet::sphinx::MixPacket;
use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::support::{Fields, Script, hex, test, vectors};

#[test]
fn the_client_handshake_has_the_recorded_frames() {
    let mut count = 0;
    for case in handshakes().list("cases") {
        let case = Case::read(case);
        let mut rng = Script::new(&[&case.client_ephemeral, &case.salt, &case.client_nonce()]);
        let (state, init) = Registering::start(&case.client, case.expected_gateway, case.proposed, &mut rng);
        rng.finish();
        assert_eq!(init.to_text(), case.frames[0]);
        let answer = ServerText::parse(&case.frames[1]).unwrap();
        match state.next(&answer, &case.client) {
            Ok(Step::Send(state, frame)) => {
                assert!(case.ok);
                assert_eq!(frame.to_text(), case.frames[2]);
                assert!(is_key(state.shared().unwrap(), &case.shared));
                let state = waiting(state.next(&ServerText::parse(&case.frames[3]).unwrap(), &case.client));
                let register =
                    ServerText::Register { protocol_version: case.negotiated, status: true, upgrade_mode: false };
                let Ok(Step::Done(Registered { shared, version, .. })) = state.next(&register, &case.client) else {
                    panic!("{} is not registered", case.name);
                };
                assert!(is_key(&shared, &case.shared));
                assert_eq!(version, case.negotiated);
            }
            Err(error) => {
                assert!(!case.ok);
                assert_eq!(error, HandshakeError::Signature);
                assert!(matches!(error.farewell(), Some(ClientText::HandshakeError { .. })));
            }
            _ => panic!("{} goes on unexpectedly", case.name),
        }
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn the_gateway_handshake_has_the_recorded_frames() {
    let mut count = 0;
    for case in handshakes().list("cases") {
        let case = Case::read(case);
        let nonce = case.gateway_nonce();
        let mut rng = Script::new(&[&case.gateway_ephemeral, &nonce]);
        let mut registry = Single::new(case.gateway_identity());
        let mut session = Session::new();
        assert_eq!(texts(session.handle_text(&case.frames[0], &mut registry, &mut rng)), [&*case.frames[1]]);
        let answers = texts(session.handle_text(&case.frames[2], &mut registry, &mut rng));
        rng.finish();
        if case.ok {
            let register = format!(
                r#"{{"type":"register","protocol_version":{},"status":true,"upgrade_mode":false}}"#,
                case.negotiated
            );
            assert_eq!(answers, [&*case.frames[3], &*register]);
            assert!(is_key(registry.shared.as_ref().unwrap(), &case.shared));
            assert_eq!(session.client(), Some(case.client.client_id()));
        } else {
            // The recorded frame, then the error twice, and the end.
            assert_eq!(answers[0], case.frames[3]);
            assert_eq!(answers[1], answers[2]);
            assert_eq!(answers[3], "close");
            assert!(registry.shared.is_none());
        }
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn a_login_is_signed_as_recorded_and_accepted() {
    let file = vectors!("gateway/authenticate.json");
    let identity = IdentityKeypair::from_bytes(&file.array("client_identity_seed"));
    let shared = SharedKey::from_bytes(&file.array("shared_key"));
    assert_eq!(identity.client_id(), ClientId(file.array("client_identity_public")));
    let mut count = 0;
    for case in file.list("v2") {
        let ClientText::AuthenticateV2(parsed) = ClientText::parse(case.text("text")).unwrap() else {
            panic!("not a login");
        };
        assert_eq!(parsed.signed_bytes(), case.bytes("signed_bytes"));
        assert_eq!(parsed.address_ciphertext.as_slice(), case.bytes("address_ciphertext"));
        assert_eq!(parsed.signature.as_slice(), case.bytes("signature"));

        let mut rng = Script::new(&[&case.bytes("nonce")]);
        let made = login_request(&identity, &shared, parsed.protocol_version, case.number("timestamp"), &mut rng);
        rng.finish();
        assert_eq!(made.to_text(), case.text("text"));

        let mut registry = Single::new(IdentityKeypair::from_bytes(&[7; 32]));
        registry.shared = Some(SharedKey::from_bytes(&file.array("shared_key")));
        registry.now = case.number("timestamp");
        let mut session = Session::new();
        let answers = texts(session.handle_text(case.text("text"), &mut registry, &mut Script::new(&[])));
        let expected = format!(
            r#"{{"type":"authenticate","protocol_version":{},"status":true,"bandwidth_remaining":0,"upgrade_mode":false}}"#,
            parsed.protocol_version
        );
        assert_eq!(answers, [expected]);
        count += 1;
    }
    assert_eq!(count, 2);
    assert_eq!(ClientText::parse(file.field("v1").text("text")), Ok(ClientText::Authenticate));
}

#[test]
fn binary_requests_are_sealed_and_opened_as_recorded() {
    let file = vectors!("gateway/binary.json");
    let shared = SharedKey::from_bytes(&file.array("shared_key"));
    let mut count = 0;
    for case in file.list("requests") {
        let mut plaintext = case.bytes("plaintext_head");
        plaintext.extend(pattern(case.number("packet_len")));
        assert_eq!(plaintext.len() as u64, case.number("plaintext_len"));
        let kind = u8::try_from(case.number("kind")).unwrap();
        let frame = case.bytes("frame");
        assert_eq!(frame.len() as u64, case.number("frame_len"));
        let mut rng = Script::new(&[&case.bytes("nonce")]);
        assert_eq!(seal_request(&shared, &plaintext, kind == 2, &mut rng), frame);
        rng.finish();
        assert_eq!(open_request(&shared, &frame), Ok((kind, plaintext.clone())));

        let parsed = if kind == 1 { MixPacket::parse_v1(&plaintext) } else { MixPacket::parse_v2(&plaintext) }.unwrap();
        assert_eq!(u64::from(parsed.rotation.to_byte()), case.number("key_rotation"));
        assert_eq!(parsed.first_hop, case.text("first_hop").parse::<core::net::SocketAddr>().unwrap().into());
        assert_eq!(parsed.packet.as_bytes().len() as u64, case.number("charge"));
        count += 1;
    }
    assert_eq!(count, 11);
}

#[test]
fn a_gateway_charges_a_request_and_forwards_its_packet() {
    let file = vectors!("gateway/binary.json");
    let handshake = handshakes();
    let case = Case::read(&handshake.list("cases")[0]);
    let mut registry = Single::new(case.gateway_identity());
    let mut session = Session::new();
    let mut rng = Script::new(&[&case.gateway_ephemeral, &case.gateway_nonce()]);
    for frame in [0, 2] {
        session.handle_text(&case.frames[frame], &mut registry, &mut rng);
    }
    let mut left = 1_000_000;
    registry.balance = Balance { bytes: left, expires_unix: u64::MAX };
    let mut count = 0;
    for case in file.list("requests") {
        let outputs = session.handle_binary(&case.bytes("frame"), &mut registry);
        left -= i64::try_from(case.number("charge")).unwrap();
        let [Output::Forward(packet), Output::Text(text)] = &outputs[..] else { panic!("{outputs:?}") };
        assert_eq!(packet.packet.as_bytes(), pattern(case.number("packet_len")));
        assert_eq!(text, &format!(r#"{{"type":"send","remaining_bandwidth":{left},"upgrade_mode":false}}"#));
        count += 1;
    }
    assert_eq!(count, 11);
}

#[test]
fn pushes_are_sealed_and_opened_as_recorded() {
    let file = vectors!("gateway/binary.json");
    let shared = SharedKey::from_bytes(&file.array("shared_key"));
    let mut count = 0;
    for case in file.list("pushes") {
        let plaintext = pattern(case.number("plaintext_len"));
        let frame = case.bytes("frame");
        assert_eq!(frame.len() as u64, case.number("frame_len"));
        let mut rng = Script::new(&[&case.bytes("nonce")]);
        assert_eq!(seal_push(&shared, &plaintext, &mut rng), frame);
        assert_eq!(open_push(&shared, &frame), Ok(plaintext));
        count += 1;
    }
    assert_eq!(count, 5);
}

#[test]
fn every_hostile_push_is_refused() {
    let file = vectors!("gateway/binary.json");
    let shared = SharedKey::from_bytes(&file.array("shared_key"));
    let mut count = 0;
    for case in file.list("hostile_pushes") {
        assert_eq!(case.text("must"), "reject");
        let refused = open_push(&shared, &case.bytes("frame"));
        let expected = match case.text("name") {
            "tag flipped" | "nonce flipped" => FrameError::Authentication,
            "unknown kind 2" => FrameError::Kind(2),
            "unknown kind 0" => FrameError::Kind(0),
            "flag 2" => FrameError::Flag(2),
            "flag 0: plaintext injection" => FrameError::Flag(0),
            "flag 0, 2 bytes" => FrameError::TooShort(2),
            "flag 0, 13 bytes" | "flag 1, 13 bytes" => FrameError::TooShort(13),
            "empty" => FrameError::TooShort(0),
            "1 byte" => FrameError::TooShort(1),
            "flag 1, nonce only" => FrameError::TooShort(14),
            "flag 1, 29 bytes" => FrameError::TooShort(29),
            name if name.starts_with("own request reflected") => FrameError::PushLength(395),
            name => panic!("{name} is new"),
        };
        assert_eq!(refused, Err(expected), "{}", case.text("name"));
        count += 1;
    }
    assert_eq!(count, 14);
}

#[test]
fn text_frames_are_read_and_written_as_recorded() {
    let file = vectors!("gateway/control_messages.json");
    let mut count = 0;
    for case in file.list("requests") {
        let frame = ClientText::parse(case.text("text")).unwrap();
        let written = frame.to_text();
        match case.text("name") {
            // Written under the name that clients use, which means the same.
            "registerHandshakeInitRequest" => {
                assert_eq!(written, case.text("text").replace("registerHandshakeInitRequest", "handshakePayload"));
            }
            // Recognised only.
            "bandwidthCredential (dead)" => assert_eq!(frame, ClientText::BandwidthCredential),
            "bandwidthCredentialV2 (dead)" => assert_eq!(frame, ClientText::BandwidthCredentialV2),
            _ => assert_eq!(written, case.text("text")),
        }
        count += 1;
    }
    assert_eq!(count, 7);
    for case in file.list("responses") {
        let frame = ServerText::parse(case.text("text")).unwrap();
        assert_ne!(frame, ServerText::Unknown);
        assert_eq!(frame.to_text(), case.text("text"));
        count += 1;
    }
    assert_eq!(count, 7 + 10);
    let error = ClientText::parse(file.text("handshake_error")).unwrap();
    assert_eq!(error.to_text(), file.text("handshake_error"));
    assert!(matches!(ServerText::parse(file.text("handshake_error")), Ok(ServerText::HandshakeError { .. })));
}

#[test]
fn control_requests_are_sealed_and_opened_as_recorded() {
    let file = vectors!("gateway/control_messages.json");
    let shared = SharedKey::from_bytes(&file.array("shared_key"));
    let mut count = 0;
    for case in file.list("encrypted_requests") {
        let nonce = case.array("nonce");
        let request = ControlRequest::open(&shared, &case.bytes("ciphertext"), &nonce).unwrap();
        assert_eq!(request.seal(&shared, &mut Script::new(&[&nonce])).to_text(), case.text("text"));
        count += 1;
    }
    assert_eq!(count, 8);
    for (case, expected) in
        file.list("encrypted_responses").iter().zip([ControlReply::ForgetMeAck, ControlReply::RememberMeAck])
    {
        let nonce = case.array("nonce");
        assert_eq!(ControlReply::open(&shared, &case.bytes("ciphertext"), &nonce), Ok(expected));
        assert_eq!(expected.seal(&shared, &mut Script::new(&[&nonce])).to_text(), case.text("text"));
        count += 1;
    }
    assert_eq!(count, 8 + 2);
}

/// We read what others read, with these exceptions: a nonce has to have its twelve bytes, an unknown type of answer is no
/// error, the error of a handshake is an answer too, and the retired requests are known by their type alone.
#[test]
fn odd_frames_are_read_as_elsewhere_or_more_strictly() {
    let file = vectors!("gateway/control_messages.json");
    let mut count = 0;
    for case in file.list("lenient_requests") {
        let text = case.text("text");
        let stricter = text.contains(r#"[2]}"#) && text.contains("ecashCredential");
        let expected = case.text("nym_2_0_0").starts_with("ok") && !stricter;
        assert_eq!(ClientText::parse(text).is_ok(), expected, "{text}");
        count += 1;
    }
    assert_eq!(count, 11);
    for case in file.list("lenient_responses") {
        let text = case.text("text");
        let frame = ServerText::parse(text);
        match text {
            r#"{"type":"somethingNew"}"# => assert_eq!(frame, Ok(ServerText::Unknown)),
            r#"{"type":"handshakeError","message":"x"}"# => {
                assert_eq!(frame, Ok(ServerText::HandshakeError { message: "x".into() }));
            }
            _ => assert_eq!(frame.is_ok(), case.text("nym_2_0_0").starts_with("ok"), "{text}"),
        }
        count += 1;
    }
    assert_eq!(count, 11 + 8);
    // Missing fields have these values.
    assert_eq!(
        ServerText::parse(r#"{"type":"register","status":true}"#),
        Ok(ServerText::Register { protocol_version: 0, status: true, upgrade_mode: false })
    );
}

#[test]
fn an_identity_has_the_recorded_address() {
    let file = vectors!("gateway/recipient.json");
    let mut record = vec![1];
    record.extend(file.bytes("identity_seed"));
    record.extend(file.bytes("encryption_private"));
    record.extend([9; 16]);
    let identity = mixlet::identity::Identity::from_bytes(&record).unwrap();
    assert_eq!(*identity.to_bytes(), record);
    assert_eq!(identity.client_id(), ClientId(file.array("identity")));
    let gateway = GatewayId::parse(file.text("gateway_b58")).unwrap();
    assert_eq!(gateway, GatewayId(file.array("gateway")));
    let address = identity.address(gateway).unwrap();
    assert_eq!(address.to_bytes().as_slice(), file.bytes("bytes"));
    assert_eq!(address.to_string(), file.text("text"));
    assert_eq!(address.identity().0.as_slice(), file.bytes("sphinx_destination"));
}

#[test]
fn versions_are_negotiated() {
    assert_eq!([4, 5, 6, 7, 255].map(negotiate), [4, 5, 6, 6, 6].map(Ok));
    assert_eq!([0, 3].map(negotiate), [0, 3].map(|version| Err(HandshakeError::Version(version))));
}

/// A recorded handshake.
struct Case {
    name: String,
    proposed: u8,
    negotiated: u8,
    ok: bool,
    client: IdentityKeypair,
    gateway_seed: [u8; 32],
    expected_gateway: GatewayId,
    client_ephemeral: Vec<u8>,
    gateway_ephemeral: Vec<u8>,
    salt: Vec<u8>,
    shared: Vec<u8>,
    frames: Vec<String>,
    data: Vec<Vec<u8>>,
}

impl Case {
    fn read(case: &Value) -> Self {
        let result = case.field("result");
        let ok = result.field("ok") == true;
        let frames = case.list("frames");
        Self {
            name: case.text("name").into(),
            proposed: u8::try_from(case.number("proposed_version")).unwrap(),
            negotiated: if ok { u8::try_from(result.number("negotiated_client")).unwrap() } else { 0 },
            ok,
            client: IdentityKeypair::from_bytes(&case.array("client_identity_seed")),
            gateway_seed: case.array("gateway_identity_seed"),
            expected_gateway: GatewayId(case.array("expected_gateway_public_by_client")),
            client_ephemeral: case.bytes("client_ephemeral_private"),
            gateway_ephemeral: case.bytes("gateway_ephemeral_private"),
            salt: case.bytes("salt"),
            shared: if ok { result.bytes("shared_key") } else { Vec::new() },
            frames: frames.iter().map(|frame| frame.text("text").to_owned()).collect(),
            data: frames.iter().map(|frame| frame.field("data_hex").as_str().map(hex).unwrap_or_default()).collect(),
        }
    }

    fn gateway_identity(&self) -> IdentityKeypair {
        IdentityKeypair::from_bytes(&self.gateway_seed)
    }

    /// What the client has sealed its signature with; anything when it never came so far.
    fn client_nonce(&self) -> Vec<u8> {
        self.data[2].get(80..).map_or(vec![0; 12], <[u8]>::to_vec)
    }

    fn gateway_nonce(&self) -> Vec<u8> {
        self.data[1][112..].to_vec()
    }
}

/// A gateway with one client.
struct Single {
    identity: IdentityKeypair,
    shared: Option<SharedKey>,
    balance: Balance,
    last_login: u64,
    now: u64,
}

impl Single {
    fn new(identity: IdentityKeypair) -> Self {
        Self { identity, shared: None, balance: Balance::default(), last_login: 0, now: 1_779_000_000 }
    }
}

impl Registry for Single {
    fn identity(&self) -> &IdentityKeypair {
        &self.identity
    }

    fn now_unix(&self) -> u64 {
        self.now
    }

    fn shared_key(&self, _: &ClientId) -> Option<&SharedKey> {
        self.shared.as_ref()
    }

    fn set_shared_key(&mut self, _: &ClientId, shared: SharedKey) {
        self.shared = Some(shared);
    }

    fn forget(&mut self, _: &ClientId) {
        self.shared = None;
    }

    fn last_login(&self, _: &ClientId) -> u64 {
        self.last_login
    }

    fn set_last_login(&mut self, _: &ClientId, unix_seconds: u64) {
        self.last_login = unix_seconds;
    }

    fn balance(&self, _: &ClientId) -> Balance {
        self.balance
    }

    fn set_balance(&mut self, _: &ClientId, balance: Balance) {
        self.balance = balance;
    }

    fn take_stored(&mut self, _: &ClientId) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

fn handshakes() -> Value {
    vectors!("gateway/handshake.json")
}

fn is_key(key: &SharedKey, bytes: &[u8]) -> bool {
    key.as_bytes().as_slice().ct_eq(bytes).into()
}

fn waiting(step: Result<Step, HandshakeError>) -> Registering {
    match step {
        Ok(Step::Wait(state)) => state,
        Ok(_) => panic!("something else than waiting"),
        Err(error) => panic!("{error}"),
    }
}

fn texts(outputs: Vec<Output>) -> Vec<String> {
    outputs
        .into_iter()
        .map(|output| match output {
            Output::Text(text) => text,
            Output::Close => "close".into(),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn pattern(len: u64) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((7 * i + 3) % 256).unwrap()).collect()
}
