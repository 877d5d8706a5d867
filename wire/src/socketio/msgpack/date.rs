//! Dates as JavaScript writes them (ECMA-262, "Date Time String Format").

/// The farthest that a date is from 1970 in either direction, in milliseconds.
const FARTHEST: i64 = 8_640_000_000_000_000;

const DAY: i64 = 86_400_000;

/// The text of a moment, in milliseconds since 1970, always in UTC; `None` beyond the range of
/// dates.
pub(super) fn iso(moment: i64) -> Option<String> {
    if !(-FARTHEST..=FARTHEST).contains(&moment) {
        return None;
    }
    let (year, month, day) = civil(moment.div_euclid(DAY));
    let time = moment.rem_euclid(DAY);
    let (hour, minute) = (time / 3_600_000, time / 60_000 % 60);
    let (second, milli) = (time / 1000 % 60, time % 1000);
    let date = match year {
        0..=9999 => format!("{year:04}"),
        // Six digits and a sign.
        _ => format!("{year:+07}"),
    };
    Some(format!("{date}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"))
}

/// Year, month and day of a day since 1970, by the Gregorian calendar.
///
/// A year is taken to begin in March, so that the day that leap years add is its last.
fn civil(days: i64) -> (i64, i64, i64) {
    const ERA: i64 = 146_097; // days in 400 years
    let since = days + 719_468; // from 1 March of the year 0
    let (era, day) = (since.div_euclid(ERA), since.rem_euclid(ERA));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_javascript_writes_them() {
        // Each from `new Date(ms).toISOString()`.
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599_123, "2024-12-31T23:59:59.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
            (-62_167_219_200_001, "-000001-12-31T23:59:59.999Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (FARTHEST, "+275760-09-13T00:00:00.000Z"),
            (-FARTHEST, "-271821-04-20T00:00:00.000Z"),
        ];
        for (moment, text) in cases {
            assert_eq!(iso(moment).as_deref(), Some(text));
        }
        assert_eq!(iso(FARTHEST + 1), None);
        assert_eq!(iso(i64::MIN), None);
    }
}
