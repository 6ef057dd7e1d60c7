//! What is read back from the store, and points in time.

use mixlet::date::{parse_unix, to_rfc3339};
use mixlet::engine::pages::{
    Entry, Given, Held, Piece, Seen, read_finished, read_page, write_finished_page, write_page,
};
use mixlet::engine::{Config, Record, Shelf};
use mixlet::exchange::{Client, InboxEntry, OutboxEntry};
use mixlet::identity::{Identity, Registration};
use mixlet::limits;
use mixlet::time::{Duration, Instant};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::laws::input::Input;

pub fn records(data: &[u8]) {
    pages(data);
    if let Ok(identity) = Identity::from_bytes(data) {
        assert_eq!(&identity.to_bytes()[..], data);
        // Whatever the keys are, the client has an identity that can be written.
        let _ = identity.client_id();
    }
    if let Ok(known) = Registration::from_bytes(data) {
        assert_eq!(&known.to_bytes()[..], data);
        assert!(known.url.len() <= limits::GATEWAY_URL_LEN_MAX);
        assert!(known.next_login(0) > known.last_login || known.last_login == u64::MAX);
    }
}

/// Pages are read whole or not at all, and a client that is given any bytes as pages of each shelf starts within its bounds.
fn pages(data: &[u8]) {
    one_form::<Given>(data);
    if let Ok(held) = read_page::<Held>(data) {
        // Behind a short address in a SURB is padding that nobody looks at.
        let written = write_page(&held);
        let again = read_page::<Held>(&written).expect("what was written is read");
        assert_eq!(write_page(&again), written);
        assert_eq!(again.len(), held.len());
    }
    one_form::<Piece>(data);
    one_form::<Seen>(data);
    if let Ok((key, sets)) = read_finished(data) {
        assert_eq!(write_finished_page(&key, &sets), data);
    }
    if let Some(entry) = InboxEntry::from_bytes(data) {
        assert_eq!(*entry.to_bytes(), data);
    }
    if let Some(entry) = OutboxEntry::from_bytes(data) {
        assert_eq!(*entry.to_bytes(), data);
    }
    let mut config = Config::with_topology(String::new(), Duration::from_secs(1_780_000_000));
    (config.keeps_pages, config.keeps_inbox) = (true, true);
    let identity = Identity::generate(&mut ChaCha20Rng::seed_from_u64(1));
    let (rng, now) = (Box::new(ChaCha20Rng::seed_from_u64(2)), Instant::from_micros(3_600_000_000));
    let mut client: Client = Client::new(config, identity, None, rng, now);
    // As one page, as two, and with what may tell what is used of one.
    let (first, second) = data.split_at(data.len() / 2);
    for shelf in Shelf::ALL {
        for (number, bytes) in [(0, Some(data)), (7, Some(first)), (8, Some(second)), (9, None), (u32::MAX, Some(data))]
        {
            client.restore(Record::Page(shelf, number), bytes, now);
        }
    }
    for bound in client.engine().bounds().into_iter().chain(client.bounds()) {
        assert!(bound.len <= bound.limit, "{bound:?}");
    }
    client.take_messages(true);
    while client.poll_event(now).is_some() {}
    client.engine_mut().connect(now);
    client.close(false, now, now);
    while client.poll_request().is_some() {}
}

fn one_form<E: Entry>(data: &[u8]) {
    if let Ok(entries) = read_page::<E>(data) {
        assert_eq!(write_page(&entries), data);
    }
}

pub fn date(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(unix) = parse_unix(&text) {
        // Offsets can lead out of the year 9999, which is then not read again.
        assert!(unix < YEAR_10000 + 100 * 3600);
        assert!(unix >= YEAR_10000 || parse_unix(&to_rfc3339(unix)) == Some(unix));
        // What follows is not looked at; a digit would belong to the date.
        assert_eq!(parse_unix(&format!("{text} ")), Some(unix));
    }
    let any = Input(data).u64();
    assert!(parse_unix(&to_rfc3339(any)).is_none_or(|unix| unix == any));
}

const YEAR_10000: u64 = 253_402_300_800;
