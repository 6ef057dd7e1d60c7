//! Frames of the link, and its two halves against each other.

use std::collections::BTreeMap;

use mixlet::gateway::client::{LoginFailure, Registering, Step, login_reply, login_request};
use mixlet::gateway::frame::{LoginRequest, TypedError};
use mixlet::gateway::server::{Balance, Output, Registry, Session};
use mixlet::gateway::{
    ClientId, ClientText, ControlReply, ControlRequest, IdentityKeypair, ServerText, SharedKey, open_push,
    open_request, seal_push, seal_request,
};
use mixlet::identity::{Identity, Registration};
use mixlet::message::GatewayId;
use proptest::collection::vec;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_a_client_says_is_read_back(frame in client_text()) {
        prop_assert_eq!(ClientText::parse(&frame.to_text()), Ok(frame));
    }

    #[test]
    fn what_a_gateway_says_is_read_back(frame in server_text()) {
        prop_assert_eq!(ServerText::parse(&frame.to_text()), Ok(frame));
    }

    /// Also frames that are almost right: one with a piece cut out, doubled or replaced.
    #[test]
    fn any_text_is_read_without_panic(
        noise in ".{0,200}",
        json in json_text(),
        frame in prop_oneof![client_text().prop_map(|f| f.to_text()), server_text().prop_map(|f| f.to_text())],
        cut in any::<(prop::sample::Index, prop::sample::Index)>(),
        piece in "[\\]\\[{}\",:0-9a-zA-Z.-]{0,6}",
    ) {
        let (a, b) = (cut.0.index(frame.len()), cut.1.index(frame.len()));
        let (head, tail) = (frame.get(..a.min(b)).unwrap_or(""), frame.get(a.max(b)..).unwrap_or(""));
        for text in [noise, json, format!("{head}{piece}{tail}"), format!("{frame}{tail}")] {
            for parsed in [ClientText::parse(&text).map(|frame| frame.to_text())].into_iter().flatten() {
                // What was understood means the same once it is written again.
                prop_assert_eq!(ClientText::parse(&parsed), ClientText::parse(&text));
            }
            for parsed in [ServerText::parse(&text).map(|frame| frame.to_text())].into_iter().flatten() {
                prop_assert_eq!(ServerText::parse(&parsed), ServerText::parse(&text));
            }
            let _ = LoginFailure::from_message(&text);
        }
    }

    #[test]
    fn sorting_a_skewed_clock_never_panics(text in "\\PC{0,20}server[-0-9T :.+Zäß]{0,40}") {
        let _ = LoginFailure::from_message(&format!("excessively skewed {text}"));
    }

    #[test]
    fn binary_frames_are_opened_again(key: [u8; 32], seed: u64, len in push_len(), v2: bool, body in vec(any::<u8>(), 0..2000)) {
        let shared = SharedKey::from_bytes(&key);
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let push = vec![body.first().copied().unwrap_or(0); len];
        prop_assert_eq!(open_push(&shared, &seal_push(&shared, &push, &mut rng)), Ok(push));
        let frame = seal_request(&shared, &body, v2, &mut rng);
        prop_assert_eq!(open_request(&shared, &frame), Ok((1 + u8::from(v2), body)));
    }

    /// Every bit of a frame counts, also those outside of the sealed part.
    #[test]
    fn a_changed_push_does_not_open(key: [u8; 32], seed: u64, at: prop::sample::Index, bit in 0..8_u32, cut in 0..52_usize) {
        let shared = SharedKey::from_bytes(&key);
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let good = seal_push(&shared, &[7; 21], &mut rng);
        let mut frame = good.clone();
        frame[at.index(good.len())] ^= 1 << bit;
        prop_assert!(open_push(&shared, &frame).is_err());
        prop_assert_eq!(open_push(&shared, &good[..cut.min(good.len())]).is_ok(), cut >= good.len());
        let other = SharedKey::from_bytes(&key.map(|byte| !byte));
        prop_assert!(open_push(&other, &good).is_err());
    }

    #[test]
    fn any_bytes_are_opened_without_panic(key: [u8; 32], head in 0..3_u8, flag in 0..3_u8, body in vec(any::<u8>(), 0..80)) {
        let shared = SharedKey::from_bytes(&key);
        let frame = [&[head, flag][..], &body].concat();
        for bytes in [&frame[..], &body] {
            prop_assert!(open_push(&shared, bytes).is_err());
            prop_assert!(open_request(&shared, bytes).is_err());
            prop_assert!(ControlRequest::open(&shared, bytes, &[0; 12]).is_err());
            prop_assert!(ControlReply::open(&shared, bytes, &[0; 12]).is_err());
        }
    }

    #[test]
    fn records_are_read_back_and_damage_is_noticed(seed: u64, url in "[a-z:/.0-9]{0,60}", last_login: u64, cut: prop::sample::Index, noise in vec(any::<u8>(), 0..200)) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let identity = Identity::generate(&mut rng);
        let bytes = identity.to_bytes();
        prop_assert_eq!(&Identity::from_bytes(&bytes).unwrap().to_bytes(), &bytes);
        prop_assert!(Identity::from_bytes(&bytes[..cut.index(bytes.len())]).is_err());
        prop_assert!(Identity::from_bytes(&[&bytes[..], &[0]].concat()).is_err());

        let gateway = IdentityKeypair::generate(&mut rng).gateway_id();
        let shared = SharedKey::from_bytes(&[seed as u8; 32]);
        let registration = Registration { gateway, url, shared, last_login };
        let bytes = registration.to_bytes();
        let read = Registration::from_bytes(&bytes).unwrap();
        prop_assert_eq!(&read.to_bytes(), &bytes);
        prop_assert_eq!((read.gateway, read.url, read.last_login), (gateway, registration.url, last_login));
        prop_assert!(registration.shared.as_bytes() == read.shared.as_bytes());
        prop_assert!(Registration::from_bytes(&bytes[..cut.index(73)]).is_err());
        let _ = (Identity::from_bytes(&noise), Registration::from_bytes(&noise));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A gateway is told anything in any order. It never panics, says nothing after the end, and lets nobody in without
    /// a signature.
    #[test]
    fn a_gateway_survives_any_conversation(seed: u64, script in vec(event(), 0..20)) {
        let mut world = World::new(seed);
        let mut session = Session::new();
        let mut ended = false;
        for event in script {
            let outputs = match event {
                Event::Text(text) => session.handle_text(&text, &mut world.gateway, &mut world.rng),
                Event::Binary(bytes) => session.handle_binary(&bytes, &mut world.gateway),
                Event::Timeout => session.handle_timeout(),
            };
            prop_assert!(!ended || outputs.is_empty());
            for (index, output) in outputs.iter().enumerate() {
                match output {
                    Output::Text(text) => prop_assert!(ServerText::parse(text).is_ok()),
                    Output::Close => {
                        prop_assert_eq!(index, outputs.len() - 1);
                        ended = true;
                    }
                    other => prop_assert!(false, "{:?} for a stranger", other),
                }
            }
            prop_assert_eq!(session.client(), None);
        }
        prop_assert!(world.gateway.keys.is_empty());
    }

    /// The client is told anything at any step. Only what the gateway really said gets it further.
    #[test]
    fn a_registration_survives_any_reply(seed: u64, noise in vec(server_text(), 0..4), disturbed_step in 0..4_usize) {
        let mut world = World::new(seed);
        let mut session = Session::new();
        let (mut state, mut frame) = world.start();
        let mut step = 0;
        let outcome = loop {
            let answers = session.handle_text(&frame.to_text(), &mut world.gateway, &mut world.rng);
            let mut sent = None;
            let mut replies: Vec<_> = answers.iter().map(parsed).collect();
            if step == disturbed_step {
                replies.splice(0..0, noise.iter().cloned());
            }
            let mut waiting = Some(state);
            let mut result = None;
            for reply in replies {
                match waiting.take().unwrap().next(&reply, &world.identity) {
                    Ok(Step::Wait(next)) => waiting = Some(next),
                    Ok(Step::Send(next, frame)) => {
                        sent = Some(frame);
                        waiting = Some(next);
                    }
                    Ok(Step::Done(registered)) => { result = Some(Ok(registered)); break }
                    Err(error) => { result = Some(Err(error)); break }
                }
            }
            if let Some(result) = result {
                break result;
            }
            state = waiting.unwrap();
            frame = sent.expect("a step without end or frame");
            step += 1;
        };
        let harmless = |frame: &ServerText| matches!(frame, ServerText::SupportedProtocol { .. });
        let disturbed = step >= disturbed_step && !noise.iter().all(harmless);
        prop_assert_eq!(outcome.is_err(), disturbed);
        if let Ok(registered) = outcome {
            prop_assert!(world.gateway.keys[&world.identity.client_id()].as_bytes() == registered.shared.as_bytes());
        }
    }

    /// Both halves agree about keys and versions, whatever is proposed, and a login follows.
    #[test]
    fn the_halves_fit_together(seed: u64, announced in 4..=6_u8, inbox in vec(push_len(), 0..3)) {
        let mut world = World::new(seed);
        world.gateway.version = announced;
        world.gateway.inbox = inbox.iter().map(|len| vec![3; *len]).collect();
        let mut session = Session::new();
        let (state, init) = world.start();
        let step_two = parsed(&session.handle_text(&init.to_text(), &mut world.gateway, &mut world.rng)[0]);
        let Ok(Step::Send(mut state, frame)) = state.next(&step_two, &world.identity) else { panic!("no third step") };
        let mut registered = None;
        let mut received = Vec::new();
        for output in session.handle_text(&frame.to_text(), &mut world.gateway, &mut world.rng) {
            match output {
                Output::Binary(frame) => received.push(open_push(state.shared().unwrap(), &frame).unwrap().len()),
                output => match state.next(&parsed(&output), &world.identity) {
                    Ok(Step::Wait(next)) => { state = next; continue }
                    Ok(Step::Done(done)) => { registered = Some(done); break }
                    _ => panic!("disturbed"),
                }
            }
        }
        let registered = registered.unwrap();
        prop_assert_eq!(registered.version, announced);
        prop_assert_eq!(received, inbox);
        let login = login_request(&world.identity, &registered.shared, announced, world.gateway.now, &mut world.rng);
        let answer = Session::new().handle_text(&login.to_text(), &mut world.gateway, &mut world.rng);
        prop_assert!(login_reply(&parsed(&answer[0])).unwrap().is_ok());
    }
}

#[derive(Clone, Debug)]
enum Event {
    Text(String),
    Binary(Vec<u8>),
    Timeout,
}

/// What a stranger can say: anything but a good signature.
fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => client_text().prop_map(|frame| Event::Text(frame.to_text())),
        1 => json_text().prop_map(Event::Text),
        1 => server_text().prop_map(|frame| Event::Text(frame.to_text())),
        3 => vec(any::<u8>(), 80).prop_map(|data| {
            Event::Text(ClientText::HandshakePayload { protocol_version: 6, data }.to_text())
        }),
        2 => vec(any::<u8>(), 92).prop_map(|data| {
            Event::Text(ClientText::HandshakePayload { protocol_version: 6, data }.to_text())
        }),
        1 => vec(any::<u8>(), 0..100).prop_map(Event::Binary),
        1 => Just(Event::Timeout),
        6 => Just(Event::Text(ClientText::SupportedProtocol.to_text())),
    ]
}

fn client_text() -> impl Strategy<Value = ClientText> {
    let login = (any::<(u8, [u8; 32], u64, [u8; 12])>(), vec(any::<u8>(), 48), vec(any::<u8>(), 64)).prop_map(
        |((protocol_version, client, unix_seconds, nonce), ciphertext, signature)| {
            ClientText::AuthenticateV2(LoginRequest {
                protocol_version,
                client: ClientId(client),
                address_ciphertext: ciphertext.try_into().unwrap(),
                nonce,
                unix_seconds,
                signature: signature.try_into().unwrap(),
            })
        },
    );
    prop_oneof![
        Just(ClientText::Authenticate),
        Just(ClientText::BandwidthCredential),
        Just(ClientText::BandwidthCredentialV2),
        Just(ClientText::ClaimFreeTestnetBandwidth),
        Just(ClientText::SupportedProtocol),
        login,
        (vec(any::<u8>(), 0..600), any::<[u8; 12]>())
            .prop_map(|(enc_credential, iv)| ClientText::EcashCredential { enc_credential, iv }),
        (vec(any::<u8>(), 0..600), any::<[u8; 12]>())
            .prop_map(|(ciphertext, nonce)| ClientText::EncryptedRequest { ciphertext, nonce }),
        ".{0,60}".prop_map(|message| ClientText::HandshakeError { message }),
        (any::<u8>(), vec(any::<u8>(), 0..=124))
            .prop_map(|(protocol_version, data)| ClientText::HandshakePayload { protocol_version, data }),
        ".{0,60}".prop_map(|token| ClientText::UpgradeModeJwt { token }),
    ]
}

fn server_text() -> impl Strategy<Value = ServerText> {
    prop_oneof![
        any::<(u8, bool, i64, bool)>().prop_map(|(protocol_version, status, bandwidth_remaining, upgrade_mode)| {
            ServerText::Authenticate { protocol_version, status, bandwidth_remaining, upgrade_mode }
        }),
        any::<(i64, bool)>()
            .prop_map(|(available_total, upgrade_mode)| ServerText::Bandwidth { available_total, upgrade_mode }),
        (vec(any::<u8>(), 0..600), any::<[u8; 12]>())
            .prop_map(|(ciphertext, nonce)| ServerText::EncryptedResponse { ciphertext, nonce }),
        ".{0,60}".prop_map(|message| ServerText::Error { message }),
        ".{0,60}".prop_map(|message| ServerText::HandshakeError { message }),
        (any::<u8>(), vec(any::<u8>(), 0..=124))
            .prop_map(|(protocol_version, data)| ServerText::HandshakePayload { protocol_version, data }),
        any::<(u8, bool, bool)>().prop_map(|(protocol_version, status, upgrade_mode)| ServerText::Register {
            protocol_version,
            status,
            upgrade_mode
        }),
        any::<(i64, bool)>()
            .prop_map(|(remaining_bandwidth, upgrade_mode)| ServerText::Send { remaining_bandwidth, upgrade_mode }),
        any::<u8>().prop_map(|version| ServerText::SupportedProtocol { version }),
        any::<(i64, i64)>().prop_map(|(required, available)| ServerText::TypedError {
            error: TypedError::OutOfBandwidth { required, available }
        }),
        Just(ServerText::TypedError { error: TypedError::TicketReplay }),
        Just(ServerText::Unknown),
    ]
}

/// Objects with the names that matter and values that do not fit.
fn json_text() -> impl Strategy<Value = String> {
    let names = "type|version|protocol_version|data|status|message|ciphertext|nonce|iv|error|requestSignature|token";
    let kinds =
        "send|error|register|authenticate|authenticateV2|handshakePayload|typedError|encryptedResponse|bandwidth";
    let value = prop_oneof![
        kinds.prop_map(|kind: String| format!("\"{kind}\"")),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        "\\[[0-9]{0,3}(,[0-9]{1,3}){0,8}\\]",
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("{\"out_of_bandwidth\":{}}".to_owned()),
        "\\\\u[0-9a-fA-F]{4}".prop_map(|escape: String| format!("\"{escape}\"")),
    ];
    vec((names, value), 0..6).prop_map(|fields| {
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    })
}

fn push_len() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![21_usize, 1643, 7787, 15_979, 32_363])
}

fn parsed(output: &Output) -> ServerText {
    match output {
        Output::Text(text) => ServerText::parse(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

struct World {
    rng: ChaCha20Rng,
    identity: IdentityKeypair,
    gateway: Gateway,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        Self {
            identity: IdentityKeypair::generate(&mut rng),
            gateway: Gateway {
                identity: IdentityKeypair::generate(&mut rng),
                keys: BTreeMap::new(),
                inbox: Vec::new(),
                version: 6,
                now: 1_779_000_000,
            },
            rng,
        }
    }

    fn start(&mut self) -> (Registering, ClientText) {
        let id: GatewayId = self.gateway.identity.gateway_id();
        Registering::start(&self.identity, id, self.gateway.version, &mut self.rng)
    }
}

struct Gateway {
    identity: IdentityKeypair,
    keys: BTreeMap<ClientId, SharedKey>,
    inbox: Vec<Vec<u8>>,
    version: u8,
    now: u64,
}

impl Registry for Gateway {
    fn identity(&self) -> &IdentityKeypair {
        &self.identity
    }

    fn now_unix(&self) -> u64 {
        self.now
    }

    fn version(&self) -> u8 {
        self.version
    }

    fn shared_key(&self, client: &ClientId) -> Option<&SharedKey> {
        self.keys.get(client)
    }

    fn set_shared_key(&mut self, client: &ClientId, shared: SharedKey) {
        self.keys.insert(*client, shared);
    }

    fn forget(&mut self, client: &ClientId) {
        self.keys.remove(client);
    }

    fn last_login(&self, _: &ClientId) -> u64 {
        0
    }

    fn set_last_login(&mut self, _: &ClientId, _: u64) {}

    fn balance(&self, _: &ClientId) -> Balance {
        Balance::default()
    }

    fn set_balance(&mut self, _: &ClientId, _: Balance) {}

    fn take_stored(&mut self, _: &ClientId) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.inbox)
    }
}
