//! The link: frames, both halves of the handshake, and what a gateway serves.

use mixlet::gateway::client::{HandshakeError, LoginFailure, Registering, Step, login_reply, login_request, negotiate};
use mixlet::gateway::server::{Balance, Output};
use mixlet::gateway::{
    ClientText, ControlReply, ControlRequest, IdentityKeypair, ServerText, SharedKey, VERSION_MAX, VERSION_MIN,
    open_push, open_request, seal_push, seal_request,
};
use mixlet::limits;
use mixlet::sphinx::MixPacket;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::laws::gateway::{Account, Gateway};
use crate::laws::input::Input;

/// What was understood means the same once it is written again.
pub fn client_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(frame) = ClientText::parse(&text) {
        let written = frame.to_text();
        assert_eq!(ClientText::parse(&written).as_ref(), Ok(&frame));
        match frame {
            ClientText::EncryptedRequest { ciphertext, .. } => {
                assert!(ciphertext.len() <= limits::FRAME_CIPHERTEXT_MAX);
            }
            ClientText::EcashCredential { enc_credential, .. } => {
                assert!(enc_credential.len() <= limits::FRAME_CREDENTIAL_MAX);
            }
            ClientText::HandshakePayload { data, .. } => assert!(data.len() <= limits::FRAME_HANDSHAKE_MAX),
            ClientText::HandshakeError { message } => assert!(message.len() <= limits::FRAME_PROSE_MAX),
            _ => {}
        }
    }
}

/// As [`client_text`]; and the prose of errors is sorted.
pub fn server_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(frame) = ServerText::parse(&text) {
        assert_eq!(ServerText::parse(&frame.to_text()).as_ref(), Ok(&frame));
        match &frame {
            ServerText::Error { message } | ServerText::HandshakeError { message } => {
                assert!(message.len() <= limits::FRAME_PROSE_MAX);
                let _ = LoginFailure::from_message(message);
            }
            ServerText::EncryptedResponse { ciphertext, .. } => {
                assert!(ciphertext.len() <= limits::FRAME_CIPHERTEXT_MAX);
            }
            ServerText::HandshakePayload { data, .. } => assert!(data.len() <= limits::FRAME_HANDSHAKE_MAX),
            ServerText::SupportedProtocol { version } => {
                let agreed = negotiate(*version);
                assert_eq!(agreed.is_ok(), *version >= VERSION_MIN);
                assert!(agreed.is_err() || agreed.is_ok_and(|agreed| (VERSION_MIN..=VERSION_MAX).contains(&agreed)));
            }
            _ => {}
        }
        let _ = login_reply(&frame);
    }
    let _ = LoginFailure::from_message(&text);
    let _ = LoginFailure::from_message(&format!("excessively skewed: server {text}"));
}

/// Sealed frames: what is not authentic never opens, what is opens to what was sealed, and what is in it is JSON or not.
pub fn control(data: &[u8]) {
    let mut input = Input(data);
    let shared = SharedKey::from_bytes(&input.array());
    let mut rng = ChaCha20Rng::seed_from_u64(input.byte().into());
    let bytes = input.0;
    // Nobody guesses a tag of 16 bytes; that of the empty input and a key of zeros is not one of zeros either.
    assert!(open_push(&shared, bytes).is_err());
    assert!(open_request(&shared, bytes).is_err());
    assert!(ControlRequest::open(&shared, bytes, &[0; 12]).is_err());

    let frame = seal_request(&shared, bytes, data.len().is_multiple_of(2), &mut rng);
    if frame.len() <= limits::FRAME_LEN_MAX {
        let (kind, opened) = open_request(&shared, &frame).expect("what was sealed opens");
        assert_eq!(opened, bytes);
        let packet = if kind == 1 { MixPacket::parse_v1(&opened) } else { MixPacket::parse_v2(&opened) };
        if let Ok(packet) = packet {
            assert_eq!(if kind == 1 { packet.to_v1() } else { packet.to_v2() }, bytes);
        }
    }
    let push = seal_push(&shared, bytes, &mut rng);
    let fits = [21, 1_643, 7_787, 15_979, 32_363].contains(&bytes.len());
    assert_eq!(open_push(&shared, &push).ok(), fits.then(|| bytes.to_vec()));

    let (head, sealed) = push.split_at(14);
    let nonce = head[2..].try_into().expect("twelve bytes");
    if let Ok(request) = ControlRequest::open(&shared, sealed, nonce) {
        let ClientText::EncryptedRequest { ciphertext, nonce } = request.seal(&shared, &mut rng) else {
            unreachable!()
        };
        assert_eq!(ControlRequest::open(&shared, &ciphertext, &nonce), Ok(request));
    }
    if let Ok(reply) = ControlReply::open(&shared, sealed, nonce) {
        let ServerText::EncryptedResponse { ciphertext, nonce } = reply.seal(&shared, &mut rng) else { unreachable!() };
        assert_eq!(ControlReply::open(&shared, &ciphertext, &nonce), Ok(reply));
    }
}

/// The client's half against the real other half, whose replies are changed, doubled, left out or made up. Whoever is
/// registered in the end shares its key with the gateway.
pub fn handshake(data: &[u8]) {
    let mut input = Input(data);
    let identity = IdentityKeypair::from_bytes(&[1; 32]);
    let mut gateway = Gateway::new(IdentityKeypair::from_bytes(&[2; 32]), NOW);
    gateway.books.version = input.choose(&[6, 6, 5, 4, 3, 0, 255]);
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    // Sometimes somebody else than was expected.
    let expected = if input.below(8) == 7 { 3 } else { 2 };
    let expected = IdentityKeypair::from_bytes(&[expected; 32]).gateway_id();
    let version = input.choose(&[6, 5, 4]);
    let (mut state, frame) = Registering::start(&identity, expected, version, &mut rng);
    let mut replies: std::collections::VecDeque<_> = gateway.text(&frame.to_text()).into();
    for _ in 0..ROUNDS_MAX {
        let text = match input.below(8) {
            0 => String::from_utf8_lossy(input.piece()).into_owned(),
            1 => {
                let (version, data) = (input.byte(), input.piece().to_vec());
                ServerText::HandshakePayload { protocol_version: version, data }.to_text()
            }
            2 => {
                let (version, status) = (input.byte(), input.flag());
                ServerText::Register { protocol_version: version, status, upgrade_mode: status }.to_text()
            }
            how => match replies.pop_front() {
                Some(Output::Text(text)) if how == 3 => changed(&text, &mut input),
                Some(Output::Text(text)) => {
                    if how == 4 {
                        replies.push_front(Output::Text(text.clone()));
                    }
                    text
                }
                Some(Output::Binary(push)) => {
                    assert!(state.shared().is_some_and(|shared| open_push(shared, &push).is_ok()));
                    continue;
                }
                Some(Output::Forward(_) | Output::Close) | None => return,
            },
        };
        let Ok(reply) = ServerText::parse(&text) else { continue };
        match state.next(&reply, &identity) {
            Ok(Step::Wait(next)) => state = next,
            Ok(Step::Send(next, frame)) => {
                state = next;
                replies.extend(gateway.text(&frame.to_text()));
            }
            Ok(Step::Done(registered)) => {
                assert!(expected == gateway.books.identity.gateway_id(), "registered with somebody else");
                let account = gateway.books.accounts.get(&identity.client_id()).expect("the gateway knows the client");
                assert!(account.shared.as_bytes() == registered.shared.as_bytes());
                assert!((VERSION_MIN..=VERSION_MAX).contains(&registered.version));
                return;
            }
            Err(error) => {
                let refused = matches!(error, HandshakeError::Refused(_));
                assert_eq!(error.farewell().is_none(), refused, "who was refused says nothing more");
                return;
            }
        }
    }
}

/// A gateway that is told anything. It lets in only who has a key, forwards only for who is in, and is silent after the
/// end.
pub fn session(data: &[u8]) {
    let mut input = Input(data);
    let identity = IdentityKeypair::from_bytes(&[1; 32]);
    let client = identity.client_id();
    let shared = || SharedKey::from_bytes(&[9; 32]);
    let mut gateway = Gateway::new(IdentityKeypair::from_bytes(&[2; 32]), NOW);
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    if input.flag() {
        let balance = Balance { bytes: 100_000, expires_unix: u64::MAX };
        let inbox = vec![vec![3; 21], vec![4; 1_643]];
        gateway.books.accounts.insert(client, Account { balance, inbox, ..Account::new(shared()) });
    }
    let (mut is_proved, mut has_ended) = (false, false);
    let mut handshake = None;
    for _ in 0..ROUNDS_MAX {
        if input.is_empty() {
            break;
        }
        let outputs = match input.below(10) {
            0 => {
                let text = String::from_utf8_lossy(input.piece());
                gateway.text(&text)
            }
            1 => gateway.binary(input.piece()),
            2 => gateway.timeout(),
            3 => {
                let time = NOW + u64::from(input.byte());
                let login =
                    login_request(&identity, &shared(), input.choose(&[6, 5, 4, 3, 7]), time, &mut rng).to_text();
                is_proved = true;
                let text = if input.below(4) == 3 { changed(&login, &mut input) } else { login };
                gateway.text(&text)
            }
            4 => {
                let version = input.choose(&[6, 5, 4, 3, 255]);
                let (state, frame) =
                    Registering::start(&identity, gateway.books.identity.gateway_id(), version, &mut rng);
                let outputs = gateway.text(&frame.to_text());
                if let Some(Output::Text(text)) = outputs.first() {
                    let reply = ServerText::parse(text).expect("a gateway writes frames");
                    handshake = match state.next(&reply, &identity) {
                        Ok(Step::Send(_, frame)) => Some(frame),
                        _ => None,
                    };
                }
                outputs
            }
            5 => {
                let Some(frame) = handshake.take() else { continue };
                is_proved = true;
                gateway.text(&frame.to_text())
            }
            6 => {
                let key = gateway
                    .books
                    .accounts
                    .get(&client)
                    .map_or_else(shared, |account| SharedKey::from_bytes(account.shared.as_bytes()));
                let mut packet = input.piece().to_vec();
                if input.flag() {
                    packet.resize(usize::from(input.choose(&[394, 406, 2_421, 2_433_u16])), 1);
                }
                gateway.binary(&seal_request(&key, &packet, input.flag(), &mut rng))
            }
            7 => {
                let frame = match input.below(6) {
                    0 => {
                        ControlRequest::ForgetMe { client: input.flag(), stats: input.flag() }.seal(&shared(), &mut rng)
                    }
                    1 => ClientText::ClaimFreeTestnetBandwidth,
                    2 => ClientText::EcashCredential { enc_credential: input.piece().to_vec(), iv: input.array() },
                    3 => ClientText::UpgradeModeJwt { token: "token".to_owned() },
                    4 => ClientText::SupportedProtocol,
                    _ => ClientText::EncryptedRequest { ciphertext: input.piece().to_vec(), nonce: input.array() },
                };
                gateway.text(&frame.to_text())
            }
            8 => {
                let (books, how) = (&mut gateway.books, input.byte());
                books.free_claims = how & 1 == 0;
                books.upgrade_mode = how & 2 != 0;
                books.occupied = how & 4 != 0;
                books.version = input.choose(&[6, 5, 4, 0, 255]);
                books.now_unix = books.now_unix.saturating_add(input.time().as_secs());
                Vec::new()
            }
            _ => {
                let balance = Balance { bytes: input.u64() as i64, expires_unix: input.u64() };
                if let Some(account) = gateway.books.accounts.get_mut(&client) {
                    account.balance = balance;
                }
                Vec::new()
            }
        };
        assert!(!has_ended || outputs.is_empty(), "something is said after the end");
        assert!(gateway.client().is_none() || is_proved, "a stranger is in");
        let count = outputs.len();
        for (index, output) in outputs.into_iter().enumerate() {
            match output {
                Output::Text(text) => assert!(ServerText::parse(&text).is_ok(), "{text}"),
                Output::Binary(push) => {
                    assert!(gateway.client().is_some());
                    let account = gateway.books.accounts.get(&client).expect("who has an inbox has an account");
                    assert!(open_push(&account.shared, &push).is_ok());
                }
                Output::Forward(packet) => {
                    assert_eq!(gateway.client(), Some(client));
                    assert!(MixPacket::parse_v2(&packet.to_v2()).is_ok_and(|again| again == packet));
                }
                Output::Close => {
                    assert_eq!(index + 1, count, "something is said after the end");
                    has_ended = true;
                }
            }
        }
    }
}

/// A text with one character replaced or left out.
fn changed(text: &str, input: &mut Input<'_>) -> String {
    let at = usize::from(input.u16()) % text.len().max(1);
    let with = input.byte();
    let mut bytes = text.as_bytes().to_vec();
    if with < 128 {
        bytes[at] = with
    } else {
        _ = bytes.remove(at)
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const NOW: u64 = 1_779_000_000;
const ROUNDS_MAX: usize = 64;
