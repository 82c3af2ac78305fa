//! Our own plan file: Markdown that people edit and that reads back exactly.
//!
//! A backslash stands before characters that would otherwise mean something, as in any Markdown.

use std::sync::LazyLock;

use regex::Regex;

use super::assemble::{self, Draft};
use super::entry::Pieces;
use super::{Plan, PlanError, count};

const MARKER: &str = "<!-- longwriter-edge plan:";
const COMMENT: &str = "<!-- longwriter-edge plan: one heading per section with its words in brackets, its main point below. Change, add, remove or reorder sections; the order counts, the numbers do not, and words may be left out. -->";

static NUMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^([0-9]{1,9})\.\s+").expect("the pattern is a constant"));

/// Whether `text` is in this format.
pub(super) fn is_own(text: &str) -> bool {
    text.lines()
        .any(|line| line.trim_start().starts_with(MARKER))
}

pub(super) fn write(plan: &Plan) -> String {
    let mut text = String::new();
    if !plan.title.is_empty() {
        text += &format!("# {}\n\n", escaped(&plan.title));
    }
    text += COMMENT;
    text.push('\n');
    for (index, section) in plan.sections.iter().enumerate() {
        let title = section_title(&section.title, section.words);
        let point = escaped(&section.point);
        text += &format!("\n## {}. {title}\n\n{point}\n", index + 1);
    }
    text
}

pub(super) fn read(text: &str) -> Result<Plan, PlanError> {
    let mut title = None;
    let mut drafts: Vec<Draft> = Vec::new();
    let mut points: Vec<Pieces> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || (line.starts_with("<!--") && line.ends_with("-->")) {
            continue;
        }
        match line.split_once(' ') {
            Some(("#", text)) if title.is_none() && drafts.is_empty() => {
                title = Some(unescaped(text))
            }
            Some(("#" | "##", text)) => {
                drafts.push(heading(text));
                points.push(Pieces::default());
            }
            _ => {
                // Text before the first section belongs to none.
                if let Some(point) = points.last_mut() {
                    let line = line.trim_start_matches('#').trim_start();
                    let item = line
                        .strip_prefix(['-', '*', '+'])
                        .filter(|rest| rest.starts_with(' '));
                    point.push(item.is_some(), unescaped(item.unwrap_or(line).trim_start()));
                }
            }
        }
    }
    for (draft, point) in drafts.iter_mut().zip(&points) {
        draft.point = point.joined();
    }
    assemble::from_drafts(&title.unwrap_or_default(), drafts)
}

fn heading(text: &str) -> Draft {
    let found = NUMBER.captures(text);
    let number = found.as_ref().and_then(|found| found[1].parse().ok());
    let text = &text[found.map_or(0, |found| found.get_match().end())..];
    let (title, words) = match unescaped_count(text) {
        Some((title, words)) => (title, Some(words)),
        None => (text, None),
    };
    Draft {
        number,
        title: unescaped(title),
        point: String::new(),
        words,
    }
}

fn section_title(title: &str, words: Option<u32>) -> String {
    let text = escaped(title);
    if let Some(words) = words {
        return format!("{text} ({words} words)");
    }
    let Some((rest, _)) = unescaped_count(&text) else {
        return text;
    };
    let (before, count) = text.split_at(count_start(&text, rest));
    format!("{before}\\{count}")
}

/// The count at the end of a heading and the title before it, which cannot be empty. A backslash before
/// the count's bracket or dash says that it belongs to the title.
fn unescaped_count(text: &str) -> Option<(&str, u64)> {
    let (title, words) = count::split_trailing(text).filter(|(title, _)| !title.is_empty())?;
    let backslashes = title.len() - title.trim_end_matches('\\').len();
    let is_escaped = count_start(text, title) == title.len() && backslashes % 2 == 1;
    (!is_escaped).then_some((title, words))
}

fn count_start(text: &str, title: &str) -> usize {
    text.len() - text[title.len()..].trim_start().len()
}

fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\");
    if text.starts_with(['#', '-', '*', '+', '<']) {
        format!("\\{text}")
    } else {
        text
    }
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match characters.peek() {
            Some(&next) if character == '\\' && !next.is_alphanumeric() => {
                plain.push(next);
                characters.next();
            }
            _ => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::PlanSection;
    use super::*;

    fn section(title: &str, point: &str, words: Option<u32>) -> PlanSection {
        PlanSection {
            title: title.into(),
            point: point.into(),
            words,
            repeats: None,
        }
    }

    #[test]
    fn a_plan_looks_like_this() {
        let sections = vec![
            section("The founding", "Who built it", Some(300)),
            section("After", "What came", None),
        ];
        let text = Plan::new("Rome".into(), sections).unwrap().to_markdown();
        assert_eq!(
            text,
            format!(
                "# Rome\n\n{COMMENT}\n\n## 1. The founding (300 words)\n\nWho built it\n\n## 2. After\n\nWhat came\n"
            )
        );
    }

    #[test]
    fn titles_that_look_like_markup_read_back_unchanged() {
        let titles = [
            "Rome (20 words)",
            "300 words",
            "(20 words)",
            "# 1",
            "- x - 20 words",
            "1. One",
            "C:\\new\\",
            "Back\\ (20 words)",
            "Back\\(20 words)",
            "<!-- x -->",
            "**Bold**",
            "Paragraph 1 - Main Point: x",
        ];
        for title in titles {
            for words in [None, Some(300)] {
                let plan = Plan::new(title.into(), vec![section(title, title, words)]).unwrap();
                assert_eq!(Plan::parse(&plan.to_markdown()).unwrap(), plan);
            }
        }
    }

    #[test]
    fn an_edited_file_follows_its_order_and_takes_new_lines() {
        let text = format!(
            "# Rome\n{COMMENT}\n\n## 2. The empire (about 1,200 words)\n- its peace\n- its borders\n\n## The founding\nWho built it,\nand why\n"
        );
        let plan = Plan::parse(&text).unwrap();
        assert_eq!(
            plan.sections[0],
            section("The empire", "its peace; its borders", Some(1_200))
        );
        assert_eq!(
            plan.sections[1],
            section("The founding", "Who built it, and why", None)
        );
    }
}
