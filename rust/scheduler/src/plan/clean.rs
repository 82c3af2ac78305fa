//! Text of a plan as single, visible lines of bounded length.

/// Widest title that is made from a point, in columns.
const HEADLINE_COLUMNS: usize = 80;

/// A cleaned line, and whether it had to be cut.
pub(super) struct Cleaned {
    pub(super) text: String,
    pub(super) cut: bool,
}

/// `text` on one line with at most `limit` characters, without control characters and without the
/// marks that reorder text on a screen. Cleaning twice changes nothing more.
pub(super) fn one_line(text: &str, limit: usize) -> Cleaned {
    let visible: String = text
        .chars()
        .filter(|&c| c.is_whitespace() || !is_hidden(c))
        .collect();
    let line = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(limit) {
        None => Cleaned {
            text: line,
            cut: false,
        },
        Some(_) => Cleaned {
            text: shortened(&line, limit, |_| 1),
            cut: true,
        },
    }
}

/// Whether `text` says nothing: it has no letter and no digit.
pub(super) fn is_blank(text: &str) -> bool {
    !text.chars().any(char::is_alphanumeric)
}

/// A title made of the beginning of `point`: its first clause, or as much as fits a heading.
pub(super) fn headline(point: &str) -> String {
    let clause = first_clause(point);
    let clause = if is_blank(clause) { point } else { clause };
    if clause.chars().map(columns).sum::<usize>() <= HEADLINE_COLUMNS {
        return clause.to_owned();
    }
    let short = shortened(clause, HEADLINE_COLUMNS, columns);
    if is_blank(&short) {
        clause.to_owned()
    } else {
        short
    }
}

/// Chinese characters, which stand for words of their own (the range of LongBench-Write's count).
pub(super) fn is_cjk(character: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&character)
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn columns(character: char) -> usize {
    if is_cjk(character) || ('\u{3000}'..='\u{30ff}').contains(&character) {
        2
    } else {
        1
    }
}

fn first_clause(text: &str) -> &str {
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let ends = match character {
            '。' | '；' | '：' | '！' | '？' => true,
            '.' | ';' | ':' | '!' | '?' => characters
                .peek()
                .is_none_or(|&(_, next)| next.is_whitespace()),
            _ => false,
        };
        if ends {
            return &text[..at];
        }
    }
    text
}

/// The beginning of `line` that fits `room` with an ellipsis, at a word's end where one is near.
fn shortened(line: &str, room: usize, width: fn(char) -> usize) -> String {
    let mut used = 1;
    let mut end = 0;
    for (at, character) in line.char_indices() {
        used += width(character);
        if used > room {
            break;
        }
        end = at + character.len_utf8();
    }
    let kept = &line[..end];
    let is_whole = line[end..].starts_with(' ');
    let space = kept
        .rfind(' ')
        .filter(|&space| !is_whole && space * 2 > end);
    let at_word = space.unwrap_or(end);
    format!("{}…", kept[..at_word].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_at_a_word_within_its_limit() {
        let cleaned = one_line("The founding of the city", 16);
        assert!(cleaned.cut);
        assert_eq!(cleaned.text, "The founding of…");
        assert!(!one_line(&cleaned.text, 16).cut);
    }

    #[test]
    fn a_headline_is_the_first_clause_of_the_point() {
        assert_eq!(
            headline("The founding. Who built it, and why."),
            "The founding"
        );
        assert_eq!(headline("罗马的建立：传说与考古"), "罗马的建立");
        assert_eq!(headline("Version 1.5 of the law"), "Version 1.5 of the law");
    }

    #[test]
    fn a_headline_fits_a_heading() {
        let title = headline(&"the slow decline of the western provinces ".repeat(5));
        assert!(title.chars().count() <= HEADLINE_COLUMNS);
        assert!(title.ends_with('…'));
        assert!(headline(&"罗".repeat(100)).chars().count() <= HEADLINE_COLUMNS / 2 + 1);
    }

    #[test]
    fn joiners_that_scripts_need_stay() {
        assert_eq!(one_line("می\u{200c}خواهم", 20).text, "می\u{200c}خواهم");
    }
}
