//! The marks a model puts before a section: decoration, labels such as "Paragraph 3", numbers.

/// How surely a label speaks of a section of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    /// The plan's own words: "Paragraph", "Section", 第…段.
    Strong,
    /// Words that may as well head a part of a section: "Chapter", "Part", 第…章.
    Weak,
}

/// A label at the start of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label<'line> {
    None,
    /// The line so far could become one.
    Possible,
    Found {
        number: u32,
        strength: Strength,
        /// The line behind the number or its counter.
        rest: &'line str,
    },
}

/// Words before a number.
const WORDS: [(&str, Strength); 7] = [
    ("paragraph", Strength::Strong),
    ("section", Strength::Strong),
    ("段落", Strength::Strong),
    ("章节", Strength::Strong),
    ("chapter", Strength::Weak),
    ("part", Strength::Weak),
    ("部分", Strength::Weak),
];
/// What follows the number in a label that begins with "第"; longer ones first.
const COUNTERS: [(&str, Strength); 5] = [
    ("段落", Strength::Strong),
    ("段", Strength::Strong),
    ("节", Strength::Strong),
    ("章", Strength::Weak),
    ("部分", Strength::Weak),
];

/// The label that `body`, a line without decoration, begins with.
pub(super) fn label(body: &str) -> Label<'_> {
    if body.is_empty() {
        return Label::Possible;
    }
    if let Some(counted) = body.strip_prefix('第') {
        return counted_label(counted);
    }
    let mut possible = false;
    for (word, strength) in WORDS {
        match strip_prefix_ignoring_case(body, word) {
            Ok(rest) => {
                let spaced = rest.trim_start_matches([' ', '\u{3000}']);
                if spaced.is_empty() {
                    return Label::Possible;
                }
                return match leading_number(spaced) {
                    Some((number, rest)) => Label::Found {
                        number,
                        strength,
                        rest,
                    },
                    None => Label::None,
                };
            }
            Err(is_start) => possible |= is_start,
        }
    }
    if possible {
        Label::Possible
    } else {
        Label::None
    }
}

fn counted_label(counted: &str) -> Label<'_> {
    let spaced = counted.trim_start();
    if spaced.is_empty() {
        return Label::Possible;
    }
    let Some((number, rest)) = leading_number(spaced) else {
        return Label::None;
    };
    let rest = rest.trim_start();
    let found = COUNTERS
        .iter()
        .find_map(|(counter, strength)| Some((rest.strip_prefix(counter)?, *strength)));
    match found {
        Some((rest, strength)) => Label::Found {
            number,
            strength,
            rest,
        },
        None if COUNTERS
            .iter()
            .any(|(counter, _)| counter.starts_with(rest)) =>
        {
            Label::Possible
        }
        None => Label::None,
    }
}

/// The rest behind `prefix`, or whether `text` is a beginning of it.
pub(super) fn strip_prefix_ignoring_case<'text>(
    text: &'text str,
    prefix: &str,
) -> Result<&'text str, bool> {
    match text.get(..prefix.len()) {
        Some(start) if start.eq_ignore_ascii_case(prefix) => Ok(&text[prefix.len()..]),
        _ => {
            let is_start = prefix
                .get(..text.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(text));
            Err(is_start)
        }
    }
}

/// What follows a label's separator, `None` if there is no separator.
pub(super) fn after_separator(rest: &str) -> Option<&str> {
    let rest = undecorated(rest);
    let first = rest.chars().next()?;
    let after = &rest[first.len_utf8()..];
    let separates = match first {
        ':' | '：' | '–' | '—' | '、' => true,
        // "Section 4-b" and "Section 4.2" are no labels.
        '-' | '.' => after.is_empty() || after.starts_with([' ', '*', '_']),
        _ => false,
    };
    separates.then(|| after.trim_start())
}

/// A list number at the start ("3.", "3)", "三、"), and the rest.
pub(super) fn split_number(text: &str) -> (Option<u32>, &str) {
    if let Some((number, rest)) = leading_number(text)
        && let Some(rest) = rest.strip_prefix(['.', ')', '、', '．', '）', ':', '：'])
    {
        return (Some(number), rest.trim_start());
    }
    (None, text)
}

/// Whether `text` could become a list number.
pub(super) fn may_be_number(text: &str) -> bool {
    matches!(leading_number(text), Some((_, "")))
}

/// A number at the start of `text`, in digits or in Chinese numerals up to 99, and what follows it.
fn leading_number(text: &str) -> Option<(u32, &str)> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &text[..text.len() - rest.len()];
    if !digits.is_empty() {
        return Some((digits.parse().ok()?, rest));
    }
    let rest = text.trim_start_matches(|c: char| NUMERALS.contains(c));
    let numerals = &text[..text.len() - rest.len()];
    (!numerals.is_empty()).then(|| (chinese_number(numerals), rest))
}

const NUMERALS: &str = "〇一二三四五六七八九十";

/// The number's value; one too large for any section is some large number.
fn chinese_number(numerals: &str) -> u32 {
    let value = |numeral: char| NUMERALS.chars().position(|c| c == numeral).unwrap_or(0) as u32;
    match numerals.split_once('十') {
        None => numerals.chars().fold(0_u32, |number, numeral| {
            number.saturating_mul(10).saturating_add(value(numeral))
        }),
        Some((tens, ones)) => {
            let tens = tens.chars().last().map_or(1, value);
            tens * 10 + ones.chars().next().map_or(0, value)
        }
    }
}

/// The line without Markdown marks, quotes and blanks in front.
pub(super) fn undecorated(line: &str) -> &str {
    line.trim_start_matches(is_decoration)
}

/// Whether nothing but decoration is on the line: blanks, a ruler, emphasis around nothing.
pub(super) fn is_bare(line: &str) -> bool {
    line.chars()
        .all(|c| is_decoration(c) || c == '-' || c == '=')
}

fn is_decoration(character: char) -> bool {
    matches!(
        character,
        '#' | '*' | '_' | '>' | '`' | '"' | '“' | '”' | ' ' | '\t' | '\u{3000}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number_of(line: &str) -> Option<u32> {
        match label(line) {
            Label::Found { number, .. } => Some(number),
            _ => None,
        }
    }

    #[test]
    fn labels_are_read_in_both_languages() {
        for line in [
            "Paragraph 12:",
            "SECTION 12",
            "part12",
            "第12段",
            "第 十二 节",
            "段落十二",
        ] {
            assert_eq!(number_of(line), Some(12), "{line:?}");
        }
        assert_eq!(number_of("第二十三章"), Some(23));
        assert_eq!(number_of("第十段"), Some(10));
    }

    #[test]
    fn a_beginning_of_a_label_may_become_one() {
        for line in [
            "",
            "Par",
            "paragraph",
            "Section ",
            "第",
            "第十",
            "第3部",
            "段",
        ] {
            assert_eq!(label(line), Label::Possible, "{line:?}");
        }
        for line in ["Rome", "Parting", "Sections", "第三次", "第9999999999段"] {
            assert_eq!(label(line), Label::None, "{line:?}");
        }
    }

    #[test]
    fn a_number_beyond_all_sections_is_no_fault() {
        assert_eq!(
            number_of(&format!("第{}段", "九".repeat(40))),
            Some(u32::MAX)
        );
    }

    #[test]
    fn a_separator_stands_alone() {
        assert_eq!(after_separator("**: x"), Some("x"));
        assert_eq!(after_separator(" - x"), Some("x"));
        assert_eq!(after_separator(". "), Some(""));
        assert_eq!(after_separator(".2 x"), None);
        assert_eq!(after_separator(" of the act"), None);
    }
}
