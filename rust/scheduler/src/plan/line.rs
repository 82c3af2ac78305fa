//! Lines of an outline, taken apart: how far they are indented, and with what mark they begin.

use std::sync::LazyLock;

use regex::Regex;

/// Columns that a tab indents.
const TAB_COLUMNS: usize = 4;

/// What stands before the text of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nothing.
    None,
    /// `#` to `######`.
    Heading(usize),
    /// `-`, `*`, `+` or a drawn bullet.
    Bullet,
    /// A number or letter; lists of one level use one style.
    Number(Style, Option<u32>),
}

/// How a list is numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `1.`, `(1)`, `1、`
    Arabic,
    /// `一、`, `（一）`
    Chinese,
    /// `I.`, `A.`
    Upper,
    /// `i)`, `a)`
    Lower,
    /// `1.1`
    Dotted,
}

/// One line that is not blank.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'t> {
    pub(super) indent: usize,
    pub(super) mark: Mark,
    /// What follows the mark, with emphasis as it was written.
    pub(super) text: &'t str,
    /// Whether a blank line, or nothing, stands before it.
    pub(super) after_blank: bool,
}

/// The lines of `text` without blank ones, rules, code fences and comments.
pub(super) fn lines(text: &str) -> Vec<Line<'_>> {
    let mut found = Vec::new();
    let mut after_blank = true;
    for raw in text.lines() {
        let trimmed = raw.trim();
        let is_comment = trimmed.starts_with("<!--") && trimmed.ends_with("-->");
        let is_rule = trimmed
            .chars()
            .all(|c| matches!(c, '-' | '*' | '_' | '=' | ' '));
        if is_comment || is_rule || trimmed.starts_with("```") {
            after_blank = true;
            continue;
        }
        found.push(line(raw, after_blank));
        after_blank = false;
    }
    found
}

/// A number written in digits or in Chinese characters (up to 999).
pub(super) fn number(text: &str) -> Option<u32> {
    if let Ok(value) = text.parse() {
        return Some(value);
    }
    let mut value = 0;
    let mut digit = None;
    for character in text.chars() {
        match character {
            '十' => value += digit.take().unwrap_or(1) * 10,
            '百' => value += digit.take().unwrap_or(1) * 100,
            _ => {
                digit = Some(
                    "零一二三四五六七八九"
                        .chars()
                        .position(|c| c == character)? as u32,
                )
            }
        }
    }
    Some(value + digit.unwrap_or(0)).filter(|&value| value > 0)
}

fn line(raw: &str, after_blank: bool) -> Line<'_> {
    let mut indent = 0;
    for character in raw.chars() {
        match character {
            '\t' => indent += TAB_COLUMNS,
            '\u{3000}' => indent += 2,
            c if c.is_whitespace() => indent += 1,
            _ => break,
        }
    }
    let text = raw.trim();
    let text = text.strip_prefix("> ").unwrap_or(text).trim_start();
    let (mark, text) = split_mark(text);
    Line {
        indent,
        mark,
        text: text.trim(),
        after_blank,
    }
}

fn split_mark(text: &str) -> (Mark, &str) {
    heading(text)
        .or_else(|| bullet(text))
        .or_else(|| numbering(text))
        .unwrap_or((Mark::None, text))
}

fn heading(text: &str) -> Option<(Mark, &str)> {
    let rest = text.trim_start_matches('#');
    let level = text.len() - rest.len();
    let is_heading = (1..=6).contains(&level) && rest.starts_with(char::is_whitespace);
    is_heading.then(|| (Mark::Heading(level), rest.trim().trim_end_matches('#')))
}

fn bullet(text: &str) -> Option<(Mark, &str)> {
    if let Some(rest) = text.strip_prefix(['•', '‣', '◦', '●', '○', '■', '▪', '·']) {
        return Some((Mark::Bullet, rest));
    }
    let rest = text.strip_prefix(['-', '*', '+', '–', '—'])?;
    rest.starts_with(char::is_whitespace)
        .then_some((Mark::Bullet, rest))
}

static NUMBERING: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"^(?:\*\*|__)?(?:(?<dotted>[0-9]{1,3}(?:\.[0-9]{1,3})+)[.)]?\s+|[(（]?(?:(?<arabic>[0-9]{1,3})|(?<chinese>[一二三四五六七八九十百]{1,5})|(?<upper>[IVXLC]{1,7}|[A-Z])|(?<lower>[ivx]{1,6}|[a-z]))(?<end>[.:：)）、．]))";
    Regex::new(pattern).expect("the pattern is a constant")
});

fn numbering(text: &str) -> Option<(Mark, &str)> {
    let found = NUMBERING.captures(text)?;
    let rest = &text[found.get_match().end()..];
    if found.name("dotted").is_some() {
        return Some((Mark::Number(Style::Dotted, None), rest));
    }
    // "10:30" and "3.14" are no list items; after a bracket or a Chinese mark no space is needed.
    let closed = matches!(&found["end"], ")" | "）" | "、" | "．");
    let spaced = rest.is_empty() || rest.starts_with(|c: char| c.is_whitespace() || c == '*');
    let is_latin = found.name("upper").is_some() || found.name("lower").is_some();
    let apart = spaced || (!is_latin && (closed || rest.starts_with(|c: char| !c.is_ascii())));
    if !apart {
        return None;
    }
    let mark = if let Some(digits) = found.name("arabic") {
        Mark::Number(Style::Arabic, number(digits.as_str()))
    } else if let Some(digits) = found.name("chinese") {
        Mark::Number(Style::Chinese, number(digits.as_str()))
    } else if found.name("upper").is_some() {
        Mark::Number(Style::Upper, None)
    } else {
        Mark::Number(Style::Lower, None)
    };
    Some((mark, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(text: &str) -> (Mark, &str) {
        let line = lines(text)[0];
        (line.mark, line.text)
    }

    #[test]
    fn marks_of_lists_are_recognised() {
        assert_eq!(mark("## Rome ##"), (Mark::Heading(2), "Rome"));
        assert_eq!(mark("• Rome"), (Mark::Bullet, "Rome"));
        assert_eq!(
            mark("3) Rome"),
            (Mark::Number(Style::Arabic, Some(3)), "Rome")
        );
        assert_eq!(
            mark("**3. Rome**"),
            (Mark::Number(Style::Arabic, Some(3)), "Rome**")
        );
        assert_eq!(
            mark("十二、罗马"),
            (Mark::Number(Style::Chinese, Some(12)), "罗马")
        );
        assert_eq!(mark("IV. Rome"), (Mark::Number(Style::Upper, None), "Rome"));
        assert_eq!(
            mark("1.2 Rome"),
            (Mark::Number(Style::Dotted, None), "Rome")
        );
    }

    #[test]
    fn text_that_begins_with_a_number_is_no_list_item() {
        for text in [
            "10:30 at night",
            "1000 years",
            "A history",
            "#hashtag",
            "-5 degrees",
        ] {
            assert_eq!(mark(text), (Mark::None, text));
        }
    }

    #[test]
    fn rules_fences_and_comments_are_left_out() {
        let found = lines("---\n```\nRome\n<!-- no -->\n\tGreece");
        let texts: Vec<_> = found.iter().map(|line| (line.indent, line.text)).collect();
        assert_eq!(texts, [(0, "Rome"), (4, "Greece")]);
    }

    #[test]
    fn chinese_numbers_are_read() {
        for (text, value) in [("三", 3), ("十", 10), ("二十一", 21), ("一百零五", 105)] {
            assert_eq!(number(text), Some(value));
        }
        assert_eq!(number("零"), None);
    }
}
