//! The two ways in which the network writes a point in time.

/// Reads the date that `text` begins with, as seconds since 1970 in UTC, and drops fractions of a second.
///
/// Two spellings occur: RFC 3339 (`2026-05-17T06:40:00Z`, also with an offset such as `+02:00`) and
/// `2026-05-17 6:40:00.0 +00:00:00`, whose hour may have one digit. `None` for anything else, before 1970 and after
/// 9999. What follows the date is not looked at.
#[must_use]
pub fn parse_unix(text: &str) -> Option<u64> {
    let mut rest = Digits(text.as_bytes());
    let year = rest.number(4, 4)?;
    rest.skip(b"-")?;
    let month = rest.number(2, 2)?;
    rest.skip(b"-")?;
    let day = rest.number(2, 2)?;
    rest.skip(b"Tt ")?;
    let hour = rest.number(1, 2)?;
    rest.skip(b":")?;
    let minute = rest.number(2, 2)?;
    rest.skip(b":")?;
    let second = rest.number(2, 2)?;
    // A leap second counts as the second before it.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if rest.skip(b".").is_some() {
        rest.number(1, 9)?;
    }
    let _ = rest.skip(b" ");
    let offset = match rest.skip(b"Zz+-")? {
        sign @ (b'+' | b'-') => {
            let hours = rest.number(2, 2)?;
            rest.skip(b":")?;
            let minutes = rest.number(2, 2)?;
            let seconds = if rest.skip(b":").is_some() { rest.number(2, 2)? } else { 0 };
            let offset = hours * 3600 + minutes * 60 + seconds;
            if sign == b'+' { offset } else { -offset }
        }
        _ => 0,
    };
    let time = hour * 3600 + minute * 60 + second.min(59);
    u64::try_from(days_since_1970(year, month, day)? * 86_400 + time - offset).ok()
}

/// Writes seconds since 1970 as `2026-05-17T06:40:00Z`; a year above 9999 is written as it is.
#[must_use]
pub fn to_rfc3339(unix: u64) -> alloc::string::String {
    let (days, time) = (unix / 86_400, unix % 86_400);
    // The calendar repeats after 400 years of 146 097 days. Years begin in March here, so that leap days come last.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + u64::from(month <= 2);
    alloc::format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", time / 3600, time / 60 % 60, time % 60)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; `None` when there is no such date.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if day < 1 || day > days_in_month {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + year * 365 + year / 4 - year / 100 + day_of_year - 719_468)
}

/// What is left of the text.
struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    /// A number of `min` to `max` digits.
    fn number(&mut self, min: usize, max: usize) -> Option<i64> {
        let count = self.0.iter().take(max).take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        (count >= min).then(|| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    }

    /// One byte, if it is one of `wanted`.
    fn skip(&mut self, wanted: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        wanted.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_same_second() {
        for text in [
            "2026-05-17T06:40:00Z",
            "2026-05-17t06:40:00.123456789z",
            "2026-05-17 06:40:00.0 +00:00:00",
            "2026-05-17 6:40:00.0 +00:00:00",
            "2026-05-17T08:40:00+02:00",
            "2026-05-17T04:10:00-02:30",
            "2026-05-17T06:40:00Z and more",
        ] {
            assert_eq!(parse_unix(text), Some(1_779_000_000), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "now",
            "<now>",
            "2026-05-17",
            "2026-05-17T06:40:00",
            "2026-13-17T06:40:00Z",
            "2026-02-29T06:40:00Z",
            "2026-00-10T06:40:00Z",
            "2026-01-00T06:40:00Z",
            "2026-05-17T24:40:00Z",
            "2026-05-17T06:60:00Z",
            "2026-05-17T06:40:61Z",
            "2026-05-17T06:40:00.Z",
            "1969-12-31T23:59:59Z",
            "26-05-17T06:40:00Z",
        ] {
            assert_eq!(parse_unix(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for unix in [0, 1, 86_399, 951_782_400, 951_868_799, 1_779_000_000, 4_107_542_400, 253_402_300_799] {
            assert_eq!(parse_unix(&to_rfc3339(unix)), Some(unix));
        }
        assert_eq!(to_rfc3339(951_782_400), "2000-02-29T00:00:00Z");
    }
}
