//! What is read back from the store, and points in time.

use mixlet::date::{parse_unix, to_rfc3339};
use mixlet::identity::{Identity, Registration};
use mixlet::limits;

use crate::laws::input::Input;

pub fn records(data: &[u8]) {
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
