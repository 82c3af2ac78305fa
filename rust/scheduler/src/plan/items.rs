//! Outlines as lists, and as plain lines.

use super::assemble::Draft;
use super::entry::{self, Pieces};
use super::line::{Line, Mark, Style};

/// Longer lines without any mark are prose, not entries of an outline.
const LONGEST_PLAIN_ENTRY: usize = 200;

/// What makes an item one of the list's own, and not one of a list below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Level {
    indent: usize,
    /// `None` for bullets.
    style: Option<Style>,
}

/// An entry and the lines below it.
struct Entry {
    number: Option<u32>,
    text: String,
    /// The count in a line below.
    words: Option<u64>,
    below: Pieces,
}

/// The sections of a list, or of plain lines where there is none.
pub(super) fn drafts(lines: &[Line<'_>]) -> Vec<Draft> {
    let entries = match level(lines) {
        Some(level) => list(lines, level),
        None => plain_lines(lines),
    };
    entries.into_iter().map(Entry::finish).collect()
}

/// The level of the outermost list: the first numbering in it, which bullets of the same indent are
/// below, else its bullets. None if the bullets only stand below plain lines.
fn level(lines: &[Line<'_>]) -> Option<Level> {
    let items = || lines.iter().filter(|line| style(line).is_some());
    let indent = items().map(|line| line.indent).min()?;
    let outer = items().filter(|line| line.indent <= indent + 1);
    let numbering = outer.filter_map(style).find_map(|style| style);
    if numbering.is_none() && parents_of_bullets(lines, indent) > 1 {
        return None;
    }
    Some(Level {
        indent,
        style: numbering,
    })
}

/// The style of a list item, `Some(None)` for bullets.
fn style(line: &Line<'_>) -> Option<Option<Style>> {
    match line.mark {
        Mark::Bullet => Some(None),
        Mark::Number(style, _) => Some(Some(style)),
        Mark::None | Mark::Heading(_) => None,
    }
}

fn parents_of_bullets(lines: &[Line<'_>], indent: usize) -> usize {
    let is_parent = |pair: &&[Line<'_>]| {
        pair[0].mark == Mark::None && pair[0].indent <= indent && pair[1].mark == Mark::Bullet
    };
    lines.windows(2).filter(is_parent).count()
}

fn list(lines: &[Line<'_>], level: Level) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in lines {
        let item = style(line);
        // Numbers of two digits are often set one column to the left, or the others to the right.
        if item == Some(level.style) && line.indent <= level.indent + 1 {
            entries.push(Entry::new(line));
        } else if let Some(entry) = entries.last_mut() {
            if item.is_some() || line.indent > level.indent {
                entry.add(line);
            } else if !line.after_blank {
                entry.wrap(line.text);
            }
            // Any other paragraph that is not indented is prose around the list.
        }
    }
    entries
}

fn plain_lines(lines: &[Line<'_>]) -> Vec<Entry> {
    let is_entry = |line: &&Line<'_>| {
        line.mark == Mark::None && line.text.chars().count() <= LONGEST_PLAIN_ENTRY
    };
    let Some(indent) = lines.iter().filter(is_entry).map(|line| line.indent).min() else {
        return Vec::new();
    };
    let mut entries: Vec<Entry> = Vec::new();
    let mut lines = lines.iter().peekable();
    while let Some(line) = lines.next() {
        let is_top = is_entry(&line) && line.indent == indent;
        let introduces = line.text.ends_with([':', '：'])
            && lines
                .peek()
                .is_none_or(|next| next.indent <= indent && next.mark == Mark::None);
        if is_top && !introduces {
            entries.push(Entry::numbered(line, entries.len() + 1));
        } else if let Some(entry) = entries.last_mut().filter(|_| !is_top) {
            entry.add(line);
        }
    }
    // One sentence is an answer, not an outline.
    if let [entry] = entries.as_slice()
        && entry.below.is_empty()
        && entry.text.ends_with(['.', '!', '?', '。', '！', '？'])
    {
        entries.clear();
    }
    entries
}

impl Entry {
    fn new(line: &Line<'_>) -> Self {
        let number = match line.mark {
            Mark::Number(_, number) => number,
            _ => None,
        };
        Self {
            number,
            text: line.text.to_owned(),
            words: None,
            below: Pieces::default(),
        }
    }

    /// An entry that may begin with its own number and a space, as in `2 The empire`.
    fn numbered(line: &Line<'_>, position: usize) -> Self {
        let text = line
            .text
            .strip_prefix(&position.to_string())
            .unwrap_or(line.text);
        let is_number = text.starts_with(' ') && text.trim_start().starts_with(char::is_alphabetic);
        let text = if is_number {
            text.trim_start()
        } else {
            line.text
        };
        Self::new(&Line { text, ..*line })
    }

    /// Takes a line that only continues the entry's own.
    fn wrap(&mut self, text: &str) {
        self.text.push(' ');
        self.text += text;
    }

    /// Takes a line below the entry.
    fn add(&mut self, line: &Line<'_>) {
        let (text, words) = entry::without_count(line.text);
        self.words = self.words.or(words);
        self.below
            .push(style(line).is_some(), entry::unemphasised(text));
    }

    /// With lines below it, an entry that names no title is the title.
    fn finish(self) -> Draft {
        let draft = entry::split(&self.text);
        let words = draft.words.or(self.words);
        let below = self.below.joined();
        let (title, point) = if below.is_empty() {
            (draft.title, draft.point)
        } else if draft.title.is_empty() {
            (draft.point, below)
        } else {
            let mut pieces = Pieces::default();
            pieces.push(false, draft.point);
            pieces.push(true, below);
            (draft.title, pieces.joined())
        };
        Draft {
            number: self.number,
            title,
            point,
            words,
        }
    }
}
