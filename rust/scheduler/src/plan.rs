//! Plans: the sections of a document, checked, in the order in which they are written.
//!
//! [`Plan::parse`] reads what models and people write, [`Plan::rescaled`] makes the targets sum to a
//! total, [`Plan::to_markdown`] and [`Plan::step_lines`] write plans for people and for prompts, and
//! [`grammar`] holds a model to a plan that can be read.

mod assemble;
mod clean;
mod count;
mod entry;
mod field;
mod gbnf;
mod headings;
mod items;
mod labelled;
mod line;
mod own_format;
mod parse;
#[cfg(test)]
mod properties;
mod repeats;
mod rescale;

use thiserror::Error;

pub use gbnf::grammar;

/// Most sections of a plan. At LongWriter's 200 to 1,000 words a section this is more than any model holds.
pub const MAX_SECTIONS: usize = 200;
/// Most words of a document or a section. A bound for arithmetic and typing errors, far above what fits a context.
pub const MAX_WORDS: u32 = 10_000_000;
/// Largest text, in bytes, that is looked at for a plan.
pub const MAX_PLAN_BYTES: usize = 1 << 20;
/// Longest title, in characters.
pub const MAX_TITLE_CHARACTERS: usize = 200;
/// Longest main point, in characters.
pub const MAX_POINT_CHARACTERS: usize = 2_000;

/// The language of a plan's labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `Paragraph 1 - Main Point: … - Word Count: 300 words`
    English,
    /// `段落1 - 要点：… - 字数：300字`
    Chinese,
}

/// One section of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSection {
    /// Its heading, one line.
    pub title: String,
    /// What it says, one line.
    pub point: String,
    /// Words that it shall have; `None` where nobody named a number.
    pub words: Option<u32>,
    /// The first earlier section, counted from 0, that has the same or nearly the same point.
    pub repeats: Option<usize>,
}

/// A plan that was checked: 1 to [`MAX_SECTIONS`] sections, each with a title and a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The document's title; may be empty.
    pub title: String,
    /// The sections in the order in which they are written.
    pub sections: Vec<PlanSection>,
    /// What was changed or left out to make the plan valid, for the user to read.
    pub notes: Vec<String>,
}

/// Why something is not a plan.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// No section was found.
    #[error(
        "there is no plan in the text; write one section a line, such as \"1. The founding: who built the city (300 words)\""
    )]
    Empty,
    /// More sections than a plan may have.
    #[error("the plan has {found} sections, and {MAX_SECTIONS} is the most; join some of them")]
    TooMany {
        /// Sections that were found.
        found: usize,
    },
    /// The text is too large to be a plan.
    #[error(
        "the text has {bytes} bytes, and a plan has at most {MAX_PLAN_BYTES}; is it the right file?"
    )]
    TooLarge {
        /// Size of the text.
        bytes: usize,
    },
    /// A section has neither a title nor a point.
    #[error("section {number} has neither a title nor a main point; give it one or remove it")]
    EmptySection {
        /// The section, counted from 1.
        number: usize,
    },
    /// A section's target is out of range.
    #[error("section {number} has a target of {words} words; give it 1 to {MAX_WORDS}, or none")]
    SectionWords {
        /// The section, counted from 1.
        number: usize,
        /// Its target.
        words: u32,
    },
    /// A total is out of range.
    #[error("a document cannot have {total} words; ask for 1 to {MAX_WORDS}")]
    TotalWords {
        /// The total that was asked for.
        total: u32,
    },
    /// There are more sections than words.
    #[error(
        "{total} words cannot be shared among {sections} sections; ask for more words or fewer sections"
    )]
    TooFewWords {
        /// The total that was asked for.
        total: u32,
        /// Sections of the plan.
        sections: usize,
    },
}

impl Plan {
    /// A plan of these sections. Texts become single lines of bounded length without control
    /// characters; a missing title is taken from the point and the other way round; `repeats` is found anew.
    ///
    /// # Errors
    /// `Empty`, `TooMany`, `EmptySection` or `SectionWords`.
    pub fn new(title: String, sections: Vec<PlanSection>) -> Result<Self, PlanError> {
        assemble::checked(&title, sections)
    }

    /// The plan in `text`: LongWriter's line format in English or Chinese, the lines of [`grammar`],
    /// Markdown lists or headings, an outline of plain lines, or the format of [`Plan::to_markdown`].
    ///
    /// Sections are numbered in their order, whatever numbers they had. What had to be changed is in `notes`.
    ///
    /// # Errors
    /// `Empty` if there is no section in it, `TooMany`, or `TooLarge`.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        parse::parse(text)
    }

    /// The same sections with targets of at least 1 that sum to `total`, in the proportions that they
    /// had. Targets are first brought within a quarter and four times their mean, so that one wild
    /// number in a generated plan starves no other section; a plan that sums to `total` stays as it is.
    ///
    /// # Errors
    /// `TotalWords` or `TooFewWords`.
    pub fn rescaled(&self, total: u32) -> Result<Self, PlanError> {
        rescale::rescaled(self, total)
    }

    /// Markdown for people to edit, which [`Plan::parse`] reads back with the same title and sections.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        own_format::write(self)
    }

    /// One line a section, shorter than [`Plan::step_lines`]: number, title, point and words. For prompts that need
    /// no labels; a third fewer tokens have to be read. The title is left out where it only repeats the point's
    /// beginning.
    #[must_use]
    pub fn outline_lines(&self, language: Language) -> Vec<String> {
        let lines = self.sections.iter().enumerate();
        lines
            .map(|(index, section)| outline_line(index + 1, section, language))
            .collect()
    }

    /// One line a section in LongWriter's format (agentwrite/prompts/plan.txt), for prompts. The title,
    /// which that format does not have, is left out where it only repeats the point's beginning.
    #[must_use]
    pub fn step_lines(&self, language: Language) -> Vec<String> {
        let lines = self.sections.iter().enumerate();
        lines
            .map(|(index, section)| step_line(index + 1, section, language))
            .collect()
    }
}

fn outline_line(number: usize, section: &PlanSection, language: Language) -> String {
    let (colon, open, unit, close) = match language {
        Language::English => (": ", " (", " words", ")"),
        Language::Chinese => ("：", "（", "字", "）"),
    };
    let mut line = format!("{number}. ");
    if section.title != clean::headline(&section.point) {
        line += &section.title;
        line += colon;
    }
    line += &section.point;
    if let Some(words) = section.words {
        line += &format!("{open}{words}{unit}{close}");
    }
    line
}

fn step_line(number: usize, section: &PlanSection, language: Language) -> String {
    let labels = gbnf::Labels::of(language);
    let mut line = format!("{}{number}", labels.section);
    if section.title != clean::headline(&section.point) {
        line += labels.title;
        line += &section.title;
    }
    line += labels.point;
    line += &section.point;
    if let Some(words) = section.words {
        line += &format!("{}{words}{}", labels.words, labels.unit);
    }
    line
}

#[cfg(test)]
mod tests {
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
    fn step_lines_have_longwriters_labels() {
        let sections = vec![
            section("The founding", "Who built the city", Some(300)),
            section("", "How it grew", None),
        ];
        let plan = Plan::new("Rome".into(), sections).unwrap();
        assert_eq!(
            plan.step_lines(Language::English),
            [
                "Paragraph 1 - Title: The founding - Main Point: Who built the city - Word Count: 300 words",
                "Paragraph 2 - Main Point: How it grew",
            ]
        );
        assert_eq!(
            plan.step_lines(Language::Chinese),
            [
                "段落1 - 标题：The founding - 要点：Who built the city - 字数：300字",
                "段落2 - 要点：How it grew",
            ]
        );
    }

    #[test]
    fn outline_lines_are_short() {
        let sections = vec![
            section("The founding", "Who built the city", Some(300)),
            section("", "How it grew", None),
        ];
        let plan = Plan::new("Rome".into(), sections).unwrap();
        assert_eq!(
            plan.outline_lines(Language::English),
            [
                "1. The founding: Who built the city (300 words)",
                "2. How it grew"
            ]
        );
        assert_eq!(
            plan.outline_lines(Language::Chinese),
            [
                "1. The founding：Who built the city（300字）",
                "2. How it grew"
            ]
        );
    }

    #[test]
    fn a_section_without_title_and_point_is_refused_by_number() {
        let sections = vec![section("A", "B", None), section(" ", "--", None)];
        assert_eq!(
            Plan::new(String::new(), sections),
            Err(PlanError::EmptySection { number: 2 })
        );
    }

    #[test]
    fn a_target_of_no_words_is_refused() {
        let error = Plan::new(String::new(), vec![section("A", "B", Some(0))]).unwrap_err();
        assert_eq!(
            error,
            PlanError::SectionWords {
                number: 1,
                words: 0
            }
        );
    }

    #[test]
    fn a_plan_needs_a_section_and_has_at_most_two_hundred() {
        assert_eq!(Plan::new("Rome".into(), vec![]), Err(PlanError::Empty));
        let many = vec![section("A", "B", None); MAX_SECTIONS + 1];
        assert_eq!(
            Plan::new(String::new(), many),
            Err(PlanError::TooMany { found: 201 })
        );
    }

    #[test]
    fn control_characters_and_line_breaks_do_not_stay_in_a_plan() {
        let hostile = section("The\u{1b}[31m red\r\ntitle", "One\ntwo\u{202e}\u{7}", None);
        let plan = Plan::new("A\tB".into(), vec![hostile]).unwrap();
        assert_eq!(plan.title, "A B");
        assert_eq!(plan.sections[0].title, "The[31m red title");
        assert_eq!(plan.sections[0].point, "One two");
    }
}
