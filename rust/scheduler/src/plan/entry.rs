//! The text of one entry of an outline: title, main point and count.

use std::sync::LazyLock;

use regex::Regex;

use super::assemble::Draft;
use super::count;

/// What stands before a colon or dash is a title up to this many characters, else part of a sentence.
const LONGEST_TITLE: usize = 80;

static BOLD: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"^(?:\*\*|__)?([^*]+?)[:：]?\s*(?:\*\*|__)\s*[:：–—-]*\s*(.*)$"));
static PARTED: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"^(.+?)(?::\s+|：\s*|\s+[–—-]\s+|——)(.+)$"));

/// Title, point and words of `Title: point (300 words)` and its relatives. Text that names no title is the point.
pub(super) fn split(text: &str) -> Draft {
    let (text, mut words) = without_count(text);
    let bold = BOLD.captures(text);
    let parts = bold.or_else(|| PARTED.captures(text)).map(|found| {
        let [title, point] = found.extract().1;
        (title, point)
    });
    let (title, point) = match parts {
        Some((title, point)) if title.chars().count() <= LONGEST_TITLE => (title, point),
        _ => ("", text),
    };
    let (title, title_words) = without_count(title);
    let (point, point_words) = without_leading_count(point);
    words = words.or(title_words).or(point_words);
    Draft {
        number: None,
        title: plain(title),
        point: plain(point),
        words,
    }
}

/// `text` without the count at its end, and the count.
pub(super) fn without_count(text: &str) -> (&str, Option<u64>) {
    match count::split_trailing(text) {
        Some((rest, words)) => (rest, Some(words)),
        None => (text, None),
    }
}

/// The rest of `(300 words): text`, as it stands after a bold title, and the count.
fn without_leading_count(text: &str) -> (&str, Option<u64>) {
    let parts = PARTED.captures(text).map(|found| found.extract().1);
    match parts.map(|[first, rest]| (without_count(first), rest)) {
        Some((("", words), rest)) => (rest, words),
        _ => (text, None),
    }
}

/// `text` without emphasis around or in it.
pub(super) fn unemphasised(text: &str) -> String {
    let text = text.replace("**", "").replace("__", "");
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '_'))
        .to_owned()
}

/// `text` without emphasis, and without the marks that part fields at its ends.
pub(super) fn plain(text: &str) -> String {
    let text = unemphasised(text);
    let is_joint = |c: char| c.is_whitespace() || matches!(c, '|' | '–' | '—' | '-' | ':' | '：');
    let text = text.trim_matches(is_joint);
    text.trim_end_matches([',', ';', '，', '；', '、', '(', '（', '[', '【', ' '])
        .to_owned()
}

/// Lines of one point, and whether each is a list item.
#[derive(Debug, Default)]
pub(super) struct Pieces(Vec<(bool, String)>);

impl Pieces {
    pub(super) fn push(&mut self, is_item: bool, text: String) {
        self.0.push((is_item, text));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One line of them all; list items are parted by semicolons where they end without punctuation.
    pub(super) fn joined(&self) -> String {
        let mut text = String::new();
        for (is_item, piece) in self.0.iter().filter(|(_, piece)| !piece.is_empty()) {
            let is_open = text.ends_with(|c: char| c.is_alphanumeric() || matches!(c, ')' | '）'));
            if *is_item && is_open {
                text.push(';');
            }
            if !text.is_empty() {
                text.push(' ');
            }
            text += piece;
        }
        text
    }
}

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_told_from_points() {
        let cases = [
            (
                "**The founding**: who built it (300 words)",
                "The founding",
                "who built it",
                Some(300),
            ),
            (
                "**The founding:** who built it",
                "The founding",
                "who built it",
                None,
            ),
            (
                "The founding** – who built it",
                "The founding",
                "who built it",
                None,
            ),
            (
                "The founding (300 words): who built it",
                "The founding",
                "who built it",
                Some(300),
            ),
            (
                "The founding - who built it",
                "The founding",
                "who built it",
                None,
            ),
            ("建城：传说与考古（300字）", "建城", "传说与考古", Some(300)),
            ("Who built the city", "", "Who built the city", None),
            ("A well-known story", "", "A well-known story", None),
        ];
        for (text, title, point, words) in cases {
            let expected = Draft {
                number: None,
                title: title.into(),
                point: point.into(),
                words,
            };
            assert_eq!(split(text), expected, "{text}");
        }
    }

    #[test]
    fn a_count_may_stand_between_title_and_point() {
        let draft = split("**The founding** (300 words): who built it");
        assert_eq!(
            (draft.point.as_str(), draft.words),
            ("who built it", Some(300))
        );
    }

    #[test]
    fn a_long_sentence_before_a_colon_is_no_title() {
        let text = format!("{}: and so on", "The war went on ".repeat(8));
        assert_eq!(split(&text).title, "");
    }
}
