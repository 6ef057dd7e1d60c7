//! Points in time as the network writes them.

use mixlet::date::{parse_unix, to_rfc3339};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_written_is_read_back(unix in 0..=253_402_300_799_u64, tail in "\\PC{0,5}") {
        let text = to_rfc3339(unix);
        prop_assert_eq!(parse_unix(&text), Some(unix));
        prop_assert_eq!(parse_unix(&format!("{text}{tail}")), Some(unix));
        prop_assert_eq!(text.len(), 20);
    }

    /// Years above 9999 are written and not read; nothing overflows on the way.
    #[test]
    fn any_number_is_written(unix: u64) {
        let text = to_rfc3339(unix);
        prop_assert!(parse_unix(&text).is_none_or(|read| read == unix));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}", dateish in "[0-9]{3,5}-[0-9]{1,3}-[0-9]{1,3}[Tt ][0-9]{1,3}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,10})?[ ]?[Zz+-]?([0-9]{2}(:[0-9]{2})*)?") {
        for text in [text, dateish] {
            // What is read is a time that can be written, up to offsets that lead into the year 10000.
            if let Some(unix) = parse_unix(&text) {
                prop_assert!(unix < 253_402_300_800 + 100 * 3600);
                prop_assert!(unix >= 253_402_300_800 || parse_unix(&to_rfc3339(unix)) == Some(unix));
            }
        }
    }

    /// An offset moves the time by as much, the other way.
    #[test]
    fn offsets_are_taken_off(unix in 1_000_000..2_000_000_000_u64, hours in 0..100_u64, minutes in 0..100_u64, east: bool) {
        let local = to_rfc3339(unix);
        let offset = hours * 3600 + minutes * 60;
        let sign = if east { '+' } else { '-' };
        let text = format!("{}{sign}{hours:02}:{minutes:02}", local.trim_end_matches('Z'));
        let expected = if east { unix.checked_sub(offset) } else { Some(unix + offset) };
        prop_assert_eq!(parse_unix(&text), expected);
    }
}
