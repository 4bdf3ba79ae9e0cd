//! Text that others wrote, made fit to be printed; and time.

use chrono::{DateTime, Local, SecondsFormat, Utc};

/// Whether a terminal would take it for more than text: control characters, and marks that turn the direction of
/// what follows, with which a message could look like another.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{feff}' | '\u{e0001}')
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// One line of safe text: for JIDs, names and reasons.
#[must_use]
pub fn safe(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) { '\u{fffd}' } else { c }).collect()
}

/// The lines of a text, each safe.
#[must_use]
pub fn safe_lines(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n").replace('\t', "    ");
    text.split(is_line_end).map(safe).collect()
}

/// A field of a piped line: `\n`, `\t` and `\\` for what would end it, the rest safe.
#[must_use]
pub fn field(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            c if is_line_end(c) => out.push_str("\\n"),
            c if is_unsafe(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// What XML can carry of a text (XML 1.0, section 2.2).
#[must_use]
pub fn sendable(text: &str) -> String {
    let fits = |c: &char| matches!(c, '\t' | '\n' | ' '..) && !matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().filter(fits).collect()
}

/// Bytes in hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |digit: u8| char::from_digit(u32::from(digit), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Now, in milliseconds since 1970.
#[must_use]
pub fn now() -> u64 {
    u64::try_from(Utc::now().timestamp_millis()).unwrap_or(0)
}

/// As in XEP-0082.
#[must_use]
pub fn parse_time(stamp: &str) -> Option<u64> {
    let time = DateTime::parse_from_rfc3339(stamp).ok()?;
    u64::try_from(time.timestamp_millis()).ok()
}

fn at(millis: u64) -> DateTime<Utc> {
    i64::try_from(millis).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
}

/// For programs.
#[must_use]
pub fn stamp(millis: u64) -> String {
    at(millis).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// For people: the time of today, with the day if it is another.
#[must_use]
pub fn clock(millis: u64) -> String {
    let (then, today) = (at(millis).with_timezone(&Local), Local::now());
    let form = if then.date_naive() == today.date_naive() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" };
    then.format(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        let wild = "a\x1b[31mb\u{9b}1mc\u{202e}d\u{2066}e\x07f\0g";
        assert!(!safe(wild).chars().any(is_unsafe));
        assert!(!field(wild).chars().any(is_unsafe));
        assert_eq!(safe_lines("a\r\nb\u{2028}c\td"), ["a", "b", "c    d"]);
        assert_eq!(safe("שלום 👩\u{200d}💻"), "שלום 👩\u{200d}💻");
    }

    #[test]
    fn a_field_is_one_line_without_tab() {
        assert_eq!(field("a\tb\nc\\n\u{2029}"), "a\\tb\\nc\\\\n\\n");
    }

    #[test]
    fn digits() {
        assert_eq!(hex(&[0, 0xa5, 0xff]), "00a5ff");
    }

    #[test]
    fn only_what_xml_can_carry_is_sent() {
        assert_eq!(sendable("a\0b\x1bc\td\n\u{ffff}é"), "abc\td\né");
    }

    #[test]
    fn times_go_there_and_back() {
        assert_eq!(stamp(1_800_000_000_123), "2027-01-15T08:00:00.123Z");
        assert_eq!(parse_time("2027-01-15T08:00:00.123Z"), Some(1_800_000_000_123));
        assert_eq!(parse_time("2027-01-15T09:00:00+01:00"), Some(1_800_000_000_000));
        assert_eq!(parse_time("yesterday"), None);
    }
}
