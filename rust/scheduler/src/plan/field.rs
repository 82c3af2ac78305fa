//! Labels of LongWriter's line format and of what models make of it.

use std::sync::LazyLock;

use regex::Regex;

use super::{count, entry, line};

/// How far after a count's label its number may stand.
const NEAR_CHARACTERS: usize = 40;

/// `Paragraph 3 -` at the beginning of a line, and what follows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head<'t> {
    pub(super) number: u32,
    pub(super) rest: &'t str,
}

/// The labelled values of a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// What stands before the first label.
    pub(super) before: String,
    pub(super) title: Option<String>,
    pub(super) point: Option<String>,
    pub(super) words: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Title,
    Point,
    Words,
}

static HEAD: LazyLock<Regex> = LazyLock::new(|| {
    let number = "([0-9]{1,4}|[一二三四五六七八九十百]{1,5})";
    compiled(&format!(
        r"^(?:(?:paragraph|section|chapter|part)\s*(?:no\.?|#)?\s*([0-9]{{1,4}})\b|第\s*{number}\s*(?:自然段|段落|部分|段|节|章|篇)|(?:段落|章节|小节)\s*{number})(.*)$"
    ))
});

/// A label with what parts it from the text before: a strict one needs a mark there, a plain one only a space.
static LABEL: LazyLock<Regex> = LazyLock::new(|| {
    let mark = r"(?:^|[-–—|;；,，、.。(（\[【])\s*";
    let title = r"(title|subtitle|heading|标题|小标题|题目)";
    let point = r"((?:main|key)\s+(?:points?|idea)|point|主要内容|主要观点|核心内容|核心观点|中心思想|内容要点|要点|主旨|内容)";
    let words = r"(word\s*counts?|words|length|字数要求|目标字数|字数)";
    let end = r"\s*[:：]\s*";
    compiled(&format!(
        r"{mark}(?:{title}|{point}|{words}){end}|\s(?:(main\s+points?)|(word\s*count)){end}|(字数){end}"
    ))
});

/// The head of a labelled line, if `text` (without emphasis) begins with one.
pub(super) fn head(text: &str) -> Option<Head<'_>> {
    let found = HEAD.captures(text)?;
    let number = (1..=3).find_map(|group| found.get(group))?;
    let rest = found.get(4).map_or("", |rest| rest.as_str());
    let is_english = found.get(1).is_some();
    // "Part 1 of the story is long" is a sentence.
    let parted = rest.trim_start().starts_with([
        ':', '：', '.', '-', '–', '—', '|', ',', ')', '）', '、', '(', '（',
    ]);
    let is_head = rest.trim().is_empty()
        || parted
        || (!is_english && rest.starts_with(char::is_whitespace))
        || LABEL
            .find(rest.trim_start())
            .is_some_and(|label| label.start() == 0);
    let rest = rest.trim_start_matches(|c: char| {
        c.is_whitespace()
            || matches!(
                c,
                ':' | '：' | '.' | '-' | '–' | '—' | '|' | ',' | ')' | '）' | '、'
            )
    });
    is_head.then_some(Head {
        number: line::number(number.as_str())?,
        rest,
    })
}

/// The fields of `text` (without emphasis). A label that comes twice belongs to the value before it,
/// except for the count: the last one that has a number counts.
pub(super) fn fields(text: &str) -> Fields {
    let mut found: Vec<(Label, usize, usize)> = Vec::new();
    for captures in LABEL.captures_iter(text) {
        let whole = captures.get_match();
        let label = match (1..captures.len()).find(|&group| captures.get(group).is_some()) {
            Some(1) => Label::Title,
            Some(2 | 4) => Label::Point,
            _ => Label::Words,
        };
        if label == Label::Words {
            if !starts_with_count(&text[whole.end()..]) {
                continue;
            }
            found.retain(|(other, ..)| *other != Label::Words);
        } else if found.iter().any(|(other, ..)| *other == label) {
            continue;
        }
        found.push((label, whole.start(), whole.end()));
    }
    let mut fields = Fields {
        before: text.to_owned(),
        ..Fields::default()
    };
    if let Some((_, start, _)) = found.first() {
        fields.before = entry::plain(&text[..*start]);
    }
    for (index, &(label, _, start)) in found.iter().enumerate() {
        let end = found.get(index + 1).map_or(text.len(), |next| next.1);
        let value = &text[start..end];
        match label {
            Label::Title => fields.title = Some(entry::plain(value)),
            Label::Point => fields.point = Some(entry::plain(value)),
            Label::Words => fields.words = count::read(value),
        }
    }
    fields
}

/// Whether a number is near: looking further would read a long line once for each of its labels.
fn starts_with_count(text: &str) -> bool {
    let near: String = text.chars().take(NEAR_CHARACTERS).collect();
    count::read(&near).is_some()
}

impl Fields {
    /// Whether any label was found.
    pub(super) fn is_labelled(&self) -> bool {
        self.title.is_some() || self.point.is_some() || self.words.is_some()
    }
}

fn compiled(pattern: &str) -> Regex {
    Regex::new(&format!("(?i){pattern}")).expect("the pattern is a constant")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_told_from_sentences() {
        assert_eq!(
            head("Paragraph 3 - Main Point: x"),
            Some(Head {
                number: 3,
                rest: "Main Point: x"
            })
        );
        assert_eq!(
            head("第十二段：罗马"),
            Some(Head {
                number: 12,
                rest: "罗马"
            })
        );
        assert_eq!(
            head("段落1"),
            Some(Head {
                number: 1,
                rest: ""
            })
        );
        assert_eq!(head("Part 1 of the story is long"), None);
        assert_eq!(head("Paragraphs follow"), None);
    }

    #[test]
    fn fields_are_read_with_any_dash_and_colon() {
        for text in [
            "Title: Rome - Main Point: its founding - Word Count: 300 words",
            "Title: Rome – Main Point： its founding — Word Count: 300",
            "Title: Rome | main point: its founding (Word Count: ~300 words)",
            "标题：Rome，要点：its founding。字数：300字",
        ] {
            let fields = fields(text);
            assert_eq!(fields.title.as_deref(), Some("Rome"), "{text}");
            let point = fields.point.unwrap();
            assert!(
                ["its founding", "its founding。"].contains(&point.as_str()),
                "{text}"
            );
            assert_eq!(fields.words, Some(300), "{text}");
        }
    }

    #[test]
    fn a_word_that_only_looks_like_a_label_stays_in_the_point() {
        let fields =
            fields("Main Point: why the contents mattered: a view - Word Count: 200 words");
        assert_eq!(
            fields.point.as_deref(),
            Some("why the contents mattered: a view")
        );
        assert_eq!(fields.words, Some(200));
    }
}
