//! The shape of a text while it grows: where a sentence, a list's item or a paragraph ends, and where none may.
//!
//! It looks at each character once and keeps the beginning of the line and the last word, so its cost does not
//! depend on how long the text is. Libraries that segment text want all of it at once, and take the full stop
//! of "Dr." for the end of a sentence; here a doubtful place is no end, for text is cut at these places.

/// Characters of the beginning of a line that are kept.
const LINE_START: usize = 64;
/// Characters of the last word that are kept.
const LONGEST_WORD: usize = 32;
/// Most words of a paragraph that may be a heading without marks.
const HEADING_WORDS: usize = 8;

/// What may stand behind the full stop of a sentence.
const CLOSING: &str = "\"'”’)]»」』）》】*_`";

/// Words that a full stop follows inside of a sentence, in lower case, besides single letters and words with
/// full stops in them.
const ABBREVIATIONS: [&str; 66] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "messrs", "mme", "mlle", "gen", "col",
    "capt", "lt", "sgt", "maj", "adm", "cmdr", "rev", "hon", "fr", "gov", "sen", "rep", "pres",
    "vs", "etc", "cf", "al", "fig", "figs", "eq", "eqs", "sec", "ch", "chap", "vol", "vols", "no",
    "nos", "pp", "ed", "eds", "trans", "inc", "ltd", "co", "corp", "bros", "dept", "univ", "est",
    "approx", "ca", "mt", "ave", "blvd", "jan", "feb", "aug", "sept", "oct", "nov", "dec", "viz",
];

/// A place where a text may end, the better the higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rest {
    /// Behind a sentence.
    Sentence,
    /// Behind an item of a list.
    Item,
    /// Behind a paragraph.
    Paragraph,
}

/// What the text so far looks like at its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    /// The beginning of the line.
    line: String,
    /// Whether the line is longer than what is kept of it.
    line_goes_on: bool,
    line_words: usize,
    /// Whether an empty line, or nothing, stands before the line.
    begins_paragraph: bool,
    /// Paragraphs that stand before this one.
    paragraphs: usize,
    /// Characters since the last blank.
    word: String,
    /// The mark that ends a sentence, if nothing but what closes it has followed.
    terminator: Option<char>,
    last: Option<char>,
    fenced: bool,
    straight_quote: bool,
    /// Quotation marks and brackets that are open.
    open: u32,
    started: bool,
}

impl Shape {
    /// Adds text that was released.
    pub(super) fn push(&mut self, text: &str) {
        if !self.started && !text.is_empty() {
            self.started = true;
            self.begins_paragraph = true;
        }
        for character in text.chars() {
            self.add(character);
        }
    }

    /// The place that the text ends with, with `newlines` line ends behind it or at least a `blank`.
    pub(super) fn rest(&self, newlines: usize, blank: bool) -> Option<Rest> {
        self.last?;
        if newlines == 0 && (self.fenced || self.is_fence()) {
            return None;
        }
        if newlines > 0 && (self.fenced || self.is_fence()) {
            // The line that has just ended may open or close a block of code.
            let closed = self.fenced && self.is_fence();
            return (closed && newlines > 1).then_some(Rest::Paragraph);
        }
        if newlines == 0 {
            let inside = self.is_heading() || self.is_row() || self.is_open();
            return (!inside && self.ends_sentence(blank)).then_some(Rest::Sentence);
        }
        if self.is_heading() || matches!(self.last, Some(':' | '：')) {
            return None;
        }
        if newlines > 1 {
            let alone = self.begins_paragraph && !self.is_item() && !self.is_row();
            let first = self.line.chars().find(|c| c.is_alphanumeric());
            let untitled = self.line_goes_on
                || first.is_some_and(char::is_lowercase)
                || self.line_words >= HEADING_WORDS
                || self.terminator.is_some()
                || !alone;
            return untitled.then_some(Rest::Paragraph);
        }
        if self.is_row() {
            return None;
        }
        if self.is_item() {
            return Some(Rest::Item);
        }
        (!self.is_open() && self.ends_sentence(true)).then_some(Rest::Sentence)
    }

    /// The beginning of the line, and whether it has no more than that.
    pub(super) fn line(&self) -> (&str, bool) {
        (&self.line, !self.line_goes_on)
    }

    /// Whether the line stands in the section's first paragraph.
    pub(super) fn in_first_paragraph(&self) -> bool {
        self.paragraphs == 0
    }

    /// Whether the line is part of a block of code.
    pub(super) fn in_code(&self) -> bool {
        self.fenced || self.is_fence()
    }

    fn add(&mut self, character: char) {
        if character == '\n' {
            self.end_line();
            return;
        }
        if self.line.chars().count() < LINE_START {
            self.line.push(character);
        } else {
            self.line_goes_on = true;
        }
        if character.is_whitespace() {
            self.word.clear();
            return;
        }
        self.line_words += usize::from(self.word.is_empty() || is_wide(character));
        if self.word.len() < LONGEST_WORD {
            self.word.push(character);
        }
        self.last = Some(character);
        if "。！？.!?…".contains(character) {
            self.terminator = Some(character);
        } else if !CLOSING.contains(character) {
            self.terminator = None;
        }
        match character {
            '"' => self.straight_quote = !self.straight_quote,
            '“' | '「' | '『' | '«' | '(' | '（' | '[' | '《' | '【' => self.open += 1,
            '”' | '」' | '』' | '»' | ')' | '）' | ']' | '》' | '】' => {
                self.open = self.open.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn end_line(&mut self) {
        if self.is_fence() {
            self.fenced = !self.fenced;
        }
        let empty = self.line.trim().is_empty();
        if empty || self.is_item() {
            // What was left open in one paragraph does not concern the next.
            self.straight_quote = false;
            self.open = 0;
        }
        self.paragraphs += usize::from(empty && !self.begins_paragraph);
        self.begins_paragraph = empty;
        self.line.clear();
        self.line_goes_on = false;
        self.line_words = 0;
        self.word.clear();
    }

    fn ends_sentence(&self, blank: bool) -> bool {
        match self.terminator {
            Some('。' | '！' | '？') => true,
            Some('.') => blank && !self.ends_abbreviated(),
            Some(_) => blank,
            None => false,
        }
    }

    /// Whether the full stop belongs to the word: "Dr.", "e.g.", "J.", the number of a list's item.
    fn ends_abbreviated(&self) -> bool {
        let closed = |c: char| CLOSING.contains(c) || c == '.';
        let word = self.word.trim_end_matches(closed);
        let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
        let lower = word.to_lowercase();
        let letters = word.chars().count();
        if word.chars().all(|c| c.is_ascii_digit()) {
            return letters > 0 && self.line_words == 1;
        }
        (letters == 1 && word != "I")
            || (word.contains('.') && word.split('.').all(|part| part.chars().count() <= 2))
            || ABBREVIATIONS.contains(&lower.as_str())
    }

    fn is_open(&self) -> bool {
        self.straight_quote || self.open > 0
    }

    fn is_fence(&self) -> bool {
        let line = self.line.trim_start();
        line.starts_with("```") || line.starts_with("~~~")
    }

    fn is_heading(&self) -> bool {
        let line = self.line.trim();
        let marked = line.starts_with('#');
        let bold = line.len() > 4 && line.starts_with("**") && line.ends_with("**");
        marked || (bold && !self.line_goes_on && self.terminator.is_none())
    }

    fn is_row(&self) -> bool {
        self.line.trim_start().starts_with('|')
    }

    fn is_item(&self) -> bool {
        is_item(&self.line)
    }
}

/// Whether a line is an item of a list.
fn is_item(line: &str) -> bool {
    let line = line.trim_start();
    if line.starts_with("- ")
        || line.starts_with("* ")
        || line.starts_with("+ ")
        || line.starts_with('•')
    {
        return true;
    }
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < line.len()
        && (rest.starts_with(". ") || rest.starts_with(") ") || rest.starts_with('、'))
}

/// Whether a character is a word of its own, such as an ideograph.
fn is_wide(character: char) -> bool {
    matches!(character, '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place at the end of a text whose trailing blanks have not been released.
    fn rest(text: &str) -> Option<Rest> {
        let body = text.trim_end();
        let blanks = &text[body.len()..];
        let mut shape = Shape::default();
        shape.push(body);
        shape.rest(blanks.matches('\n').count(), !blanks.is_empty())
    }

    #[test]
    fn a_sentence_ends_with_its_mark_and_a_blank() {
        for ended in [
            "The sea is wide. ",
            "Is it deep? ",
            "He said: \"It is wide.\" ",
            "It was (they say) wide. ",
            "Rome fell in 476. ",
            "So it was, she and I. ",
            "海很宽。",
            "他说：“海很宽。”",
            "The sea.\nIt is wide.\n",
        ] {
            assert_eq!(rest(ended), Some(Rest::Sentence), "{ended:?}");
        }
        for open in [
            "The sea is wide.",
            "The sea is wide",
            "He met Dr. ",
            "Small boats, e.g. ",
            "At 5 p.m. ",
            "It was J. ",
            "Ships of the U.S. ",
            "1. ",
            "It is 3.",
            "He said: \"It is wide. ",
            "It was (as they say. ",
            "他说：“海很宽。",
            "The sea\n",
            "",
        ] {
            assert_eq!(rest(open), None, "{open:?}");
        }
    }

    #[test]
    fn lists_and_paragraphs_are_places_to_end_and_headings_are_not() {
        for (text, place) in [
            ("The sea is wide.\n\n", Some(Rest::Paragraph)),
            ("A line of verse\nand Another\n\n", Some(Rest::Paragraph)),
            ("- boats\n", Some(Rest::Item)),
            ("1. boats with sails\n", Some(Rest::Item)),
            ("There are:\n\n- boats\n\n", Some(Rest::Paragraph)),
            ("There are:\n", None),
            ("There are:\n\n", None),
            ("### The boats\n\n", None),
            ("**The boats**\n\n", None),
            ("The Old Boats\n\n", None),
            ("| a | b |\n", None),
            ("| a | b |\n\n", Some(Rest::Paragraph)),
        ] {
            assert_eq!(rest(text), place, "{text:?}");
        }
    }

    #[test]
    fn nothing_ends_inside_a_block_of_code() {
        for open in [
            "Look:\n\n```python\n",
            "```\nx = 1. \n\n",
            "~~~\nThe sea is wide. ",
        ] {
            assert_eq!(rest(open), None, "{open:?}");
        }
        assert_eq!(
            rest("```\nx = 1\n```\n\nIt is wide. "),
            Some(Rest::Sentence)
        );
    }

    #[test]
    fn an_open_quotation_mark_concerns_its_paragraph_only() {
        assert_eq!(rest("He said: \"It is.\n\nIt was. "), Some(Rest::Sentence));
    }
}
