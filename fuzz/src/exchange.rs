//! What mixlet peers wrap what they say in.

use mixlet::exchange::envelope::{Envelope, HEADER_LEN, Id, Kind, Opened, VERSION, open, open_item, pack_item, unpack};
use mixlet::limits;

/// What is opened is written as it came, but for flags that nobody knows; and packs hold what was put into them.
pub fn exchange(data: &[u8]) {
    match open(data) {
        Opened::Envelope(envelope) => {
            assert!(envelope.service.len() <= limits::SERVICE_LEN_MAX);
            let written = envelope.to_bytes();
            assert_eq!(written.len(), data.len());
            assert_eq!(written[..FLAGS], data[..FLAGS]);
            assert_eq!(written[FLAGS + 1..], data[FLAGS + 1..]);
            assert!(open(&written) == Opened::Envelope(envelope.clone()));
            assert!(open_item(&data[9..]) == Some(envelope.clone()));
            if envelope.kind == Kind::Pack {
                pack(envelope.body);
            }
        }
        Opened::Unknown { id, what } => {
            assert_eq!((&data[8..10], &data[11..27]), (&what[..], &id.0[..]));
            assert!(what[0] != VERSION || Kind::Pack as u8 != what[1] || data[10] & 2 != 0);
        }
        // The application gets it as it came. What has no id cannot be answered.
        Opened::Bare => {}
    }
    pack(data);

    // Whatever the bytes are, an envelope can carry them.
    let service = core::str::from_utf8(&data[..data.len().min(limits::SERVICE_LEN_MAX)]).unwrap_or("service");
    let carrier = Envelope { kind: Kind::Request, flags: 0, id: Id([7; 16]), service, body: data };
    assert!(open(&carrier.to_bytes()) == Opened::Envelope(carrier.clone()));
    let mut body = Vec::new();
    for _ in 0..3 {
        pack_item(&mut body, &carrier);
    }
    assert_eq!(unpack(&body), Some(vec![carrier.clone(), carrier.clone(), carrier]));
}

/// What is unpacked fills the body exactly.
fn pack(body: &[u8]) {
    let Some(items) = unpack(body) else { return };
    assert!(items.len() <= limits::PACK_COUNT_MAX);
    assert_eq!(
        items.iter().map(|item| 4 + HEADER_LEN - 9 + item.service.len() + item.body.len()).sum::<usize>(),
        body.len()
    );
    assert!(items.iter().all(|item| item.kind == Kind::Request));
}

/// Where the flags are, behind magic, version and kind.
const FLAGS: usize = 10;
