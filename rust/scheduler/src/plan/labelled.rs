//! LongWriter's line format, with every part optional and any prose around it.

use super::assemble::Draft;
use super::entry::{self, Pieces};
use super::field::{self, Fields};
use super::headings;
use super::line::{Line, Mark};

/// A line with its labels found.
struct Labelled<'l, 't> {
    line: &'l Line<'t>,
    /// The number of `Paragraph 3`.
    head: Option<u32>,
    fields: Fields,
}

/// A section while its lines are read.
#[derive(Default)]
struct Section {
    draft: Draft,
    below: Pieces,
    /// Whether the point had its label; else it may turn out to be the title.
    has_point: bool,
    /// Begun by a bare heading or list item, which is prose unless fields follow.
    is_weak: bool,
}

/// The document's title and its sections, or nothing if no line has the format's labels.
pub(super) fn read(lines: &[Line<'_>]) -> Option<(String, Vec<Draft>)> {
    let texts: Vec<String> = lines
        .iter()
        .map(|line| line.text.replace("**", "").replace("__", ""))
        .collect();
    let lines: Vec<Labelled<'_, '_>> = lines
        .iter()
        .zip(&texts)
        .map(|(line, text)| labelled(line, text))
        .collect();
    let is_format = |line: &Labelled<'_, '_>| {
        let is_heading = matches!(line.line.mark, Mark::Heading(_));
        line.fields.point.is_some()
            || line.fields.words.is_some()
            || (line.head.is_some() && !is_heading)
    };
    if !lines.iter().any(is_format) {
        return None;
    }
    let has_heads = lines.iter().any(|line| line.head.is_some());
    let mut title = String::new();
    let mut sections: Vec<Section> = Vec::new();
    for line in &lines {
        let is_first = sections.is_empty();
        if is_first && is_document_title(line) {
            title = line
                .fields
                .title
                .clone()
                .unwrap_or_else(|| headings::document_title(line.line.text));
        } else if let Some(section) = begun(line, sections.last(), has_heads) {
            sections.push(section);
        } else if let Some(section) = sections.last_mut() {
            section.add(line);
        }
    }
    let drafts = sections
        .into_iter()
        .filter(|section| !section.is_weak)
        .map(Section::finish);
    Some((title, drafts.collect()))
}

fn labelled<'l, 't>(line: &'l Line<'t>, text: &str) -> Labelled<'l, 't> {
    match field::head(text) {
        Some(head) => Labelled {
            line,
            head: Some(head.number),
            fields: field::fields(head.rest),
        },
        None => Labelled {
            line,
            head: None,
            fields: field::fields(text),
        },
    }
}

/// `Title: Rome` on a line of its own, or the topmost heading.
fn is_document_title(line: &Labelled<'_, '_>) -> bool {
    let Fields {
        before,
        title,
        point,
        words,
    } = &line.fields;
    let is_title = title.is_some() && before.is_empty() && point.is_none() && words.is_none();
    let is_heading = line.line.mark == Mark::Heading(1) && !line.fields.is_labelled();
    let is_numbered = matches!(line.line.mark, Mark::Number(..));
    line.head.is_none() && !is_numbered && (is_title || is_heading)
}

/// The section that `line` begins, if it does.
fn begun(line: &Labelled<'_, '_>, current: Option<&Section>, has_heads: bool) -> Option<Section> {
    let fields = &line.fields;
    let number = match line.line.mark {
        Mark::Number(_, number) => number,
        _ => None,
    };
    let is_bare = !fields.is_labelled();
    let is_marked =
        matches!(line.line.mark, Mark::Heading(_) | Mark::Number(..)) && line.line.indent < 2;
    let is_weak = line.head.is_none() && is_marked && !has_heads && is_bare;
    let is_taken = |section: &Section| {
        (fields.point.is_some() && section.has_point)
            || (fields.title.is_some() && (section.has_point || !section.draft.title.is_empty()))
    };
    let names_section = fields.point.is_some() || fields.title.is_some();
    let is_numbered_entry = is_marked && names_section && !has_heads;
    let is_next = names_section && current.is_none_or(is_taken);
    if !(line.head.is_some() || is_weak || is_numbered_entry || is_next) {
        return None;
    }
    let draft = Draft {
        number: line.head.or(number),
        ..draft(fields, is_weak)
    };
    Some(Section {
        draft,
        has_point: fields.point.is_some(),
        is_weak,
        ..Section::default()
    })
}

/// What a section's first line says. Text without a label is a title where the point has a label.
fn draft(fields: &Fields, is_weak: bool) -> Draft {
    let mut draft = if fields.point.is_some() || fields.title.is_some() || is_weak {
        let (title, words) = entry::without_count(&fields.before);
        Draft {
            title: entry::plain(title),
            words,
            ..Draft::default()
        }
    } else {
        entry::split(&fields.before)
    };
    if let Some(title) = &fields.title {
        draft.title.clone_from(title);
    }
    if let Some(point) = &fields.point {
        draft.point.clone_from(point);
    }
    draft.words = fields.words.or(draft.words);
    if draft.words.is_none() {
        let (point, words) = entry::without_count(&draft.point);
        (draft.point, draft.words) = (entry::plain(point), words);
    }
    draft
}

impl Section {
    /// Takes a line that does not begin a section: more fields, or more of the point.
    fn add(&mut self, line: &Labelled<'_, '_>) {
        let Labelled { line, fields, .. } = line;
        if fields.is_labelled() {
            self.is_weak = false;
            let more = draft(fields, true);
            if self.draft.title.is_empty() {
                self.draft.title = more.title;
            }
            if fields.point.is_some() {
                let unlabelled = std::mem::replace(&mut self.draft.point, more.point);
                if self.draft.title.is_empty() {
                    self.draft.title = unlabelled;
                }
                self.has_point = true;
            }
            self.draft.words = more.words.or(self.draft.words);
            return;
        }
        let is_item = !matches!(line.mark, Mark::None | Mark::Heading(_));
        // A paragraph of its own is prose, unless the section has nothing yet.
        let belongs =
            (!line.after_blank && (is_item || line.indent > 0)) || self.draft.point.is_empty();
        if belongs && !self.is_weak && !matches!(line.mark, Mark::Heading(_)) {
            let (text, words) = entry::without_count(line.text);
            self.draft.words = self.draft.words.or(words);
            let text = entry::plain(text);
            if self.draft.point.is_empty() {
                self.draft.point = text;
            } else {
                self.below.push(is_item, text);
            }
        }
    }

    fn finish(self) -> Draft {
        let mut pieces = Pieces::default();
        pieces.push(false, self.draft.point);
        pieces.push(true, self.below.joined());
        Draft {
            point: pieces.joined(),
            ..self.draft
        }
    }
}
