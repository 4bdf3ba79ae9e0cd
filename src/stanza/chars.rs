//! The character classes of XML 1.0 (fifth edition) and of its namespaces.

/// Whether XML 1.0 can carry `c` (production 2, Char).
pub(super) fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// Whether all of `text` can stand in XML.
pub(super) fn are_chars(text: &str) -> bool {
    // Without early exit, so that the compiler makes it a few vector instructions.
    let unusual = text.bytes().filter(|&b| b < 0x20 || b == 0xEF).count();
    unusual == 0 || text.chars().all(is_char)
}

/// White space (production 3, S).
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Whether `name` is a name without colon (Namespaces in XML 1.0, production 4, `NCName`).
pub(super) fn is_ncname(name: &str) -> bool {
    let ascii = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if name.bytes().all(ascii) {
        return name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    }
    let mut chars = name.chars();
    chars.next().is_some_and(starts_name) && chars.all(continues_name)
}

/// Production 4, `NameStartChar`, without the colon.
fn starts_name(c: char) -> bool {
    matches!(c,
        'a'..='z' | 'A'..='Z' | '_'
        | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}' | '\u{370}'..='\u{37D}'
        | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}'
        | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

/// Production 4a, `NameChar`, without the colon.
fn continues_name(c: char) -> bool {
    starts_name(c)
        || matches!(c, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_can_carry() {
        assert!(are_chars("plain\t\r\n \u{7F}\u{85}\u{FFFD}\u{1F600}\u{FEFF}"));
        for c in ['\0', '\u{1}', '\u{1F}', '\u{B}', '\u{FFFE}', '\u{FFFF}'] {
            assert!(!is_char(c) && !are_chars(&format!("a{c}b")), "{c:?}");
        }
    }

    #[test]
    fn names() {
        for name in ["a", "_", "a-b.c1", "körper", "名"] {
            assert!(is_ncname(name), "{name}");
        }
        for name in ["", "1a", "-a", ".a", "a:b", ":", "a b", "a'", "×"] {
            assert!(!is_ncname(name), "{name}");
        }
    }
}
