//! Plans as Markdown headings with text below them.

use super::assemble::Draft;
use super::entry::{self, Pieces};
use super::field;
use super::line::{self, Line, Mark};

/// The document's title and its sections, or nothing if the headings make no sections.
pub(super) fn read(lines: &[Line<'_>]) -> Option<(String, Vec<Draft>)> {
    let levels: Vec<usize> = lines.iter().filter_map(level).collect();
    let (&first, others) = levels.split_first()?;
    // One heading above all others is the document's.
    let is_titled = others.iter().all(|&level| level > first);
    let section_level = if is_titled {
        *others.iter().min()?
    } else {
        levels.iter().copied().min()?
    };
    let mut title = String::new();
    let mut drafts: Vec<(Draft, Pieces)> = Vec::new();
    for line in lines {
        match level(line) {
            Some(level) if is_titled && level == first => title = document_title(line.text),
            Some(level) if level <= section_level => {
                drafts.push((heading(line.text), Pieces::default()))
            }
            _ => {
                if let Some((draft, point)) = drafts.last_mut() {
                    let (text, words) = entry::without_count(line.text);
                    draft.words = draft.words.or(words);
                    point.push(line.mark != Mark::None, entry::unemphasised(text));
                }
            }
        }
    }
    let finish = |(draft, point): (Draft, Pieces)| Draft {
        point: point.joined(),
        ..draft
    };
    Some((title, drafts.into_iter().map(finish).collect()))
}

/// A heading's text as the document's title; `Plan` or `Outline` alone names the list, not the document.
pub(super) fn document_title(text: &str) -> String {
    let title = entry::plain(text);
    let lower = title.to_lowercase();
    let is_generic = matches!(
        lower.as_str(),
        "plan" | "outline" | "writing plan" | "大纲" | "提纲" | "计划" | "写作计划"
    );
    if is_generic { String::new() } else { title }
}

fn level(line: &Line<'_>) -> Option<usize> {
    match line.mark {
        Mark::Heading(level) => Some(level),
        _ => None,
    }
}

/// A section's heading without its label or number: `Chapter 2: The empire (300 words)`.
fn heading(text: &str) -> Draft {
    let (text, words) = entry::without_count(text);
    let plain = entry::plain(text);
    let (number, title) = if let Some(head) = field::head(&plain) {
        (Some(head.number), head.rest.to_owned())
    } else if let Some(Line {
        mark: Mark::Number(_, number),
        text,
        ..
    }) = line::lines(&plain).first()
    {
        (*number, (*text).to_owned())
    } else {
        (None, plain.clone())
    };
    let title = entry::plain(&title);
    Draft {
        number,
        title: if title.is_empty() { plain } else { title },
        point: String::new(),
        words,
    }
}
