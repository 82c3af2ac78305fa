//! From sampled bytes to visible characters: UTF-8 across tokens, line ends, hidden characters.

/// Decodes bytes that come in arbitrary pieces.
#[derive(Debug, Clone, Default)]
pub(super) struct Decoder {
    /// The beginning of a character that is not complete yet.
    partial: Vec<u8>,
    after_carriage_return: bool,
}

impl Decoder {
    /// The visible characters that are complete with `bytes`; invalid ones are U+FFFD.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.partial.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.partial);
        let mut rest = bytes.as_slice();
        let mut text = String::new();
        loop {
            match str::from_utf8(rest) {
                Ok(valid) => {
                    self.add(&mut text, valid);
                    return text;
                }
                Err(error) => {
                    let (valid, invalid) = rest.split_at(error.valid_up_to());
                    self.add(&mut text, str::from_utf8(valid).unwrap_or_default());
                    let Some(length) = error.error_len() else {
                        self.partial = invalid.to_vec();
                        return text;
                    };
                    self.add(&mut text, "\u{fffd}");
                    rest = &invalid[length..];
                }
            }
        }
    }

    /// Whether no character is incomplete.
    pub(super) fn is_whole(&self) -> bool {
        self.partial.is_empty()
    }

    /// What is left at the end: U+FFFD for an incomplete character.
    pub(super) fn finish(&mut self) -> &'static str {
        if std::mem::take(&mut self.partial).is_empty() {
            ""
        } else {
            "\u{fffd}"
        }
    }

    fn add(&mut self, text: &mut String, decoded: &str) {
        for character in decoded.chars() {
            match character {
                '\n' if self.after_carriage_return => {}
                '\r' | '\u{2028}' | '\u{2029}' | '\u{85}' => text.push('\n'),
                visible if !is_hidden(visible) => text.push(visible),
                _ => {}
            }
            self.after_carriage_return = character == '\r';
        }
    }
}

/// Control characters, and format characters that reorder text or hide in it. Joiners and variation selectors
/// stay: scripts and emoji need them.
fn is_hidden(character: char) -> bool {
    (character.is_control() && !matches!(character, '\n' | '\t'))
        || matches!(character,
            '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&[u8]]) -> String {
        let mut decoder = Decoder::default();
        let mut text: String = pieces.iter().map(|piece| decoder.push(piece)).collect();
        text.push_str(decoder.finish());
        text
    }

    #[test]
    fn a_character_may_be_split_among_tokens() {
        assert_eq!(
            decode(&[b"caf\xc3", b"\xa9 \xe7", b"\xbd", b"\x97"]),
            "café 罗"
        );
    }

    #[test]
    fn invalid_bytes_become_the_replacement_character() {
        assert_eq!(
            decode(&[b"a\xffb", b"\xe7\xbd", b"c"]),
            "a\u{fffd}b\u{fffd}c"
        );
        assert_eq!(decode(&[b"a\xe7\xbd"]), "a\u{fffd}");
    }

    #[test]
    fn line_ends_become_one_kind_and_controls_go() {
        assert_eq!(
            decode(&[b"a\r", b"\nb\rc\x1b[0m\x00\x07\t"]),
            "a\nb\nc[0m\t"
        );
        assert_eq!(decode(&["x\u{202e}y\u{2066}z\u{feff}".as_bytes()]), "xyz");
        assert_eq!(decode(&["می\u{200c}خواهم".as_bytes()]), "می\u{200c}خواهم");
    }
}
