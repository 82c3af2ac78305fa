//! Word targets as people and models write them: `300 words`, `300字`, `~300`, `300-400 words`, `1k`.

use std::sync::LazyLock;

use regex::{Captures, Regex};

const NUMBER: &str = r"([0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,9}(?:\.[0-9]{1,3})?)\s*(k\b|千|万)?";

static VALUE: LazyLock<Regex> = LazyLock::new(|| compiled(&number_or_range()));

/// A count with its unit at the end of a text. Without brackets it needs a mark or a gap before it, so
/// that "the first 500 words" stays text.
static TRAILING: LazyLock<Regex> = LazyLock::new(|| {
    let about = r"(?:(?:about|around|approx(?:imately|\.)?|circa|约|大约|大概|共|字数|word\s+count|words)\s*[:：]?\s*|[~≈]\s*)?";
    let unit = r"\s*(?:words?|个?字|词)\s*(?:左右|以上|以内|each|or so)?";
    let count = number_or_range();
    let bracketed = format!(r"[\(（\[【]\s*{about}{count}{unit}\s*[\)）\]】]");
    let bare = format!(r"(?:^|[-–—:：,，;；|、。]\s*|\t|\s{{2,}}){about}{count}{unit}");
    compiled(&format!(r"(?:{bracketed}|{bare})[.。\s*_]*$"))
});

/// A count without unit is one only where a mark says so: a bare number in brackets is a year.
static APPROXIMATE: LazyLock<Regex> = LazyLock::new(|| {
    let count = number_or_range();
    compiled(&format!(
        r"(?:[\(（\[【]\s*[~≈]\s*{count}\s*[\)）\]】]|[-–—:：,，]\s*[~≈]\s*{count})[.。\s*_]*$"
    ))
});

/// The count in the value of a count field, where a bare number is enough. It may be out of range.
pub(super) fn read(value: &str) -> Option<u64> {
    let captures = VALUE.captures(value)?;
    mean(&captures)
}

/// The count at the end of `text`, and `text` without it.
pub(super) fn split_trailing(text: &str) -> Option<(&str, u64)> {
    let captures = TRAILING
        .captures(text)
        .or_else(|| APPROXIMATE.captures(text))?;
    let words = mean(&captures)?;
    let rest = text[..captures.get_match().start()].trim_end();
    Some((rest, words))
}

fn number_or_range() -> String {
    format!(r"{NUMBER}(?:\s*(?:[-–—~～]|to\b|至|到)\s*{NUMBER})?")
}

fn compiled(pattern: &str) -> Regex {
    Regex::new(&format!("(?i){pattern}")).expect("the pattern is a constant")
}

/// The number, or the middle of the range, of whichever alternative matched. Groups come in fours:
/// number, factor, and the same of the range's end.
fn mean(captures: &Captures<'_>) -> Option<u64> {
    let group = |index: usize| captures.get(index).map(|found| found.as_str());
    let first = (1..captures.len())
        .step_by(4)
        .find(|&index| group(index).is_some())?;
    let low = scaled(group(first)?, group(first + 1));
    let Some(high) = group(first + 2) else {
        return Some(low.round() as u64);
    };
    let high = scaled(high, group(first + 3));
    // In "1-2k" the factor belongs to both.
    let low = if group(first + 1).is_none() && low * 10.0 < high {
        scaled(group(first)?, group(first + 3))
    } else {
        low
    };
    Some(f64::midpoint(low, high).round() as u64)
}

fn scaled(number: &str, factor: Option<&str>) -> f64 {
    let value: f64 = number.replace(',', "").parse().unwrap_or(0.0);
    match factor {
        Some("千" | "k" | "K") => value * 1e3,
        Some("万") => value * 1e4,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_in_every_form() {
        let cases = [
            ("300 words", 300),
            ("300字", 300),
            ("~300", 300),
            ("约 300 字", 300),
            ("300-400 words", 350),
            ("300 – 400", 350),
            ("200 to 301 words", 251),
            ("1,000", 1_000),
            ("1k", 1_000),
            ("1.5k words", 1_500),
            ("1-2k", 1_500),
            ("2千字", 2_000),
            ("1万字", 10_000),
        ];
        for (text, words) in cases {
            assert_eq!(read(text), Some(words), "{text}");
        }
        assert_eq!(read("as long as needed"), None);
    }

    #[test]
    fn a_count_at_the_end_is_taken_off_the_text() {
        let cases = [
            ("The founding (300 words)", "The founding", 300),
            ("The founding - 300 words", "The founding", 300),
            ("The founding, about 1,200 words.", "The founding", 1_200),
            ("The founding (~300)", "The founding", 300),
            ("建城（300字左右）", "建城", 300),
            ("The founding\t300 words", "The founding", 300),
            ("The founding   300 words", "The founding", 300),
        ];
        for (text, rest, words) in cases {
            assert_eq!(split_trailing(text), Some((rest, words)), "{text}");
        }
    }

    #[test]
    fn numbers_that_are_no_counts_stay_in_the_text() {
        for text in [
            "The fall of Rome (476)",
            "Its first 500 words",
            "From 300 to 400",
            "1984",
        ] {
            assert_eq!(split_trailing(text), None, "{text}");
        }
    }
}
