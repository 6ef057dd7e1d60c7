//! The sphinx room's bytes.

use super::support::{Fields, test, vectors};
use mixlet::sphinx::PacketSize;

#[test]
fn sizes_are_those_of_the_network() {
    let framing = vectors!("packets/framing.json");
    let mut replayed = 0;
    for case in framing.list("sizes") {
        let size = PacketSize::from_tag(u8::try_from(case.number("tag")).unwrap()).unwrap();
        assert_eq!(size.packet_len() as u64, case.number("packet"));
        assert_eq!(size.payload_len() as u64, case.number("payload"));
        assert_eq!(size.plaintext_len() as u64, case.number("plaintext"));
        replayed += 1;
    }
    assert_eq!(replayed, 5);
}
