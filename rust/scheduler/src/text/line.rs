//! What a line is: text, an echo of the prompt, or the beginning of another section.
//!
//! A line is looked at from its start while it grows. The verdict is given as early as it is sure, so that
//! ordinary prose is never held back for long.

use std::ops::Range;
use std::sync::Arc;

use super::Surroundings;
use super::label::{
    Label, Strength, after_separator, is_bare, label, may_be_number, split_number,
    strip_prefix_ignoring_case, undecorated,
};

/// Longest start of a line, in characters, for which a heading or an echo is waited for.
const LONGEST_HELD: usize = 400;
/// Lines that are taken out at the start at most: instruction, title, label and plan. A model that goes on
/// repeating has nothing else to say, and a poor section is better than an empty one.
pub(super) const MOST_ECHOES: usize = 4;
/// Lightest echo (see [`weight`]): a shorter text may begin an honest sentence.
const LIGHTEST_ECHO: usize = 12;
/// Lightest title that ends a section as a line without any decoration. "War" alone on a line can be verse.
const LIGHTEST_PLAIN_TITLE: usize = 8;
/// Names of a plan's fields, which a colon follows.
const FIELDS: [&str; 6] = ["main point", "title", "word count", "要点", "标题", "字数"];

/// What is known of the line so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It can still become any of the others.
    Undecided,
    /// It is text.
    Text,
    /// It is text from this byte on, with the marks of `emphasis` before it, which end further on.
    Labelled { emphasis: Range<usize>, from: usize },
    /// All of it is an echo.
    Echo,
    /// It begins another section.
    NextHeading,
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The section has no text yet.
    Head,
    /// After text; `paragraph`: behind an empty line.
    Inside { paragraph: bool },
}

/// The texts around one section, prepared for comparison.
#[derive(Debug, Clone)]
pub(super) struct LineRules {
    enabled: bool,
    /// Its number in labels, which count from 1.
    number: u32,
    // Shared, for the text is copied at every sentence.
    own_title: Arc<str>,
    other_titles: Arc<[Title]>,
    echoes: Arc<[String]>,
    /// The section numbers parts of its own, so that "Part 3" need not be the next section.
    has_parts: bool,
}

#[derive(Debug, Clone)]
struct Title {
    number: u32,
    /// Normalised.
    letters: String,
    /// As a line of its own, in lower case.
    line: String,
    /// Heavy enough to end a section without decoration.
    stands_plain: bool,
}

impl LineRules {
    pub(super) fn new(surroundings: &Surroundings, section: usize) -> Self {
        let own_title = surroundings.titles.get(section);
        let own_title = own_title.map_or_else(String::new, |title| normalise(title));
        let numbered = surroundings.titles.iter().zip(1_u32..);
        let other_titles = numbered.map(|(title, number)| Title::new(title, number));
        let lines = surroundings.echoes.iter().flat_map(|echo| echo.lines());
        let echoes = lines.map(normalise);
        Self {
            enabled: surroundings.enabled,
            number: u32::try_from(section + 1).unwrap_or(u32::MAX),
            other_titles: other_titles
                .filter(|title| !title.letters.is_empty() && title.letters != own_title)
                .collect(),
            own_title: own_title.into(),
            echoes: echoes
                .filter(|echo| weight(echo) >= LIGHTEST_ECHO)
                .collect(),
            has_parts: false,
        }
    }

    /// The verdict on `line`, which has no line end in it. `complete`: the line has ended.
    pub(super) fn verdict(&mut self, line: &str, complete: bool, place: Place) -> Verdict {
        if !self.enabled {
            return Verdict::Text;
        }
        let verdict = match place {
            Place::Head => self.at_head(line, complete),
            Place::Inside { paragraph } => self.inside(line, complete, paragraph),
        };
        let long = line.chars().count() > LONGEST_HELD;
        match verdict {
            Verdict::Undecided if long && place == Place::Head && self.begins_echo(line) => {
                Verdict::Echo
            }
            Verdict::Undecided if complete || long => Verdict::Text,
            verdict => verdict,
        }
    }

    /// Before the first text: the label, title, plan and instruction are echoes.
    fn at_head(&mut self, line: &str, complete: bool) -> Verdict {
        let body = undecorated(line);
        let start = line.len() - body.len();
        let (number, strength, rest) = match label(body) {
            Label::None => return self.echo_at_head(line, body, complete),
            Label::Possible if complete => return self.echo_at_head(line, body, complete),
            Label::Possible => return Verdict::Undecided,
            Label::Found {
                number,
                strength,
                rest,
            } => (number, strength, rest),
        };
        let Some(rest) = after_separator(rest) else {
            return match (undecorated(rest).is_empty(), complete) {
                (true, true) if self.is_part(number, strength) => Verdict::Text,
                (true, true) => Verdict::Echo,
                (true, false) => Verdict::Undecided,
                (false, _) => Verdict::Text,
            };
        };
        if self.is_part(number, strength) {
            return Verdict::Text;
        }
        // Emphasis that is open before the label ends with it, or further on in the text.
        let label_start = line[..start].trim_end_matches(['*', '_']).len();
        let mark = &line[label_start..start];
        let in_label = &line[start..line.len() - rest.len()];
        let closed = !mark.is_empty() && in_label.contains(mark);
        let (rest, emphasis) = match rest.strip_prefix(mark) {
            Some(rest) if !closed => (rest.trim_start(), start..start),
            _ if closed => (rest, start..start),
            _ => (rest, label_start..start),
        };
        match self.echo_at_head(line, rest, complete) {
            Verdict::Text => Verdict::Labelled {
                emphasis,
                from: line.len() - rest.len(),
            },
            verdict => verdict,
        }
    }

    /// Whether a label heads a part of this section. Only a weak one can; it is remembered.
    fn is_part(&mut self, number: u32, strength: Strength) -> bool {
        let is_part = strength == Strength::Weak && number != self.number;
        self.has_parts |= is_part;
        is_part
    }

    /// Whether `body`, the line without decoration and label, repeats what the prompt says.
    fn echo_at_head(&self, line: &str, body: &str, complete: bool) -> Verdict {
        let (_, unnumbered) = split_number(body);
        let title = normalise(unnumbered);
        let whole = normalise(line);
        let letters = normalise(body);
        let remark = letters.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_field = |name: &str| match strip_prefix_ignoring_case(body, name) {
            Ok(rest) => {
                let rest = undecorated(rest);
                rest.starts_with([':', '：']) || (rest.is_empty() && !complete)
            }
            Err(is_start) => is_start && !complete,
        };
        let echoes = if complete {
            let is_echo = |text: &String| {
                let repeats = |echo: &String| echo.starts_with(text.as_str());
                weight(text) >= LIGHTEST_ECHO && self.echoes.iter().any(repeats)
            };
            is_bare(body)
                || (!title.is_empty() && (*title == *self.own_title || *letters == *self.own_title))
                || FIELDS.iter().any(|name| is_field(name))
                || is_echo(&letters)
                || is_echo(&whole)
                // A remark on the length, such as "(200 words)".
                || (remark.len() < letters.len() && matches!(remark, "word" | "words" | "字"))
        } else {
            is_bare(body)
                || self.own_title.starts_with(&title)
                || self.own_title.starts_with(&letters)
                || FIELDS.iter().any(|name| is_field(name))
                || self
                    .echoes
                    .iter()
                    .any(|echo| echo.starts_with(&letters) || echo.starts_with(&whole))
                || (remark.len() < letters.len() && "words".starts_with(remark))
                || remark == "字"
                || may_be_number(unnumbered)
        };
        match (echoes, complete) {
            (true, true) => Verdict::Echo,
            (true, false) => Verdict::Undecided,
            (false, _) => Verdict::Text,
        }
    }

    /// Whether a long line is a repetition of the prompt so far, whatever its end.
    fn begins_echo(&self, line: &str) -> bool {
        let whole = normalise(line);
        let unlabelled = match label(undecorated(line)) {
            Label::Found { rest, .. } => normalise(rest),
            _ => whole.clone(),
        };
        let begins = |text: &String| {
            weight(text) >= LIGHTEST_ECHO && self.echoes.iter().any(|echo| echo.starts_with(text))
        };
        begins(&whole) || begins(&unlabelled)
    }

    /// After the first text: another section's label or title ends this one.
    fn inside(&mut self, line: &str, complete: bool, paragraph: bool) -> Verdict {
        let body = undecorated(line);
        match label(body) {
            Label::Possible if !complete => return Verdict::Undecided,
            Label::Found {
                number,
                strength,
                rest,
            } => {
                let alone = undecorated(rest).is_empty();
                if alone && !complete {
                    return Verdict::Undecided;
                }
                let heads = alone || after_separator(rest).is_some();
                if heads && self.begins_other(number, strength) {
                    return Verdict::NextHeading;
                }
            }
            _ => {}
        }
        let front = line.trim_start();
        let decorated = front.starts_with('#') || front.starts_with("**");
        let next = self.number.saturating_add(1);
        let is_title = |title: &Title| {
            if decorated {
                title.heads_decorated(body, complete)
            } else {
                paragraph && title.heads_plain(front, body, next, complete)
            }
        };
        match (self.other_titles.iter().any(is_title), complete) {
            (true, true) => Verdict::NextHeading,
            (true, false) => Verdict::Undecided,
            (false, false) if paragraph && may_be_number(body) => Verdict::Undecided,
            (false, _) => Verdict::Text,
        }
    }

    /// Whether a label begins another section. A weak one has to be the very next, in a section that does
    /// not number its own parts.
    fn begins_other(&mut self, number: u32, strength: Strength) -> bool {
        match strength {
            Strength::Strong => number != self.number,
            Strength::Weak => {
                let next = number == self.number.saturating_add(1) && !self.has_parts;
                self.has_parts |= !next;
                next
            }
        }
    }
}

impl Title {
    fn new(title: &str, number: u32) -> Self {
        let letters = normalise(title);
        Self {
            number,
            stands_plain: weight(&letters) >= LIGHTEST_PLAIN_TITLE,
            letters,
            line: title.trim().to_lowercase(),
        }
    }

    /// Whether `body`, the line without its decoration, is this title, or may become it while the line is
    /// not `complete`.
    fn heads_decorated(&self, body: &str, complete: bool) -> bool {
        let (_, unnumbered) = split_number(body);
        is_or_begins(&self.letters, &normalise(unnumbered), complete)
            || is_or_begins(&self.letters, &normalise(body), complete)
    }

    /// The same for a paragraph without decoration. Lists and verse name titles, too, so the line has to be
    /// the title exactly, or carry the number of the `next` section.
    fn heads_plain(&self, line: &str, body: &str, next: u32, complete: bool) -> bool {
        let (number, unnumbered) = split_number(body);
        let plain = line.trim_end_matches([' ', '\t', ':', '：']).to_lowercase();
        (self.number == next
            && number == Some(next)
            && is_or_begins(&self.letters, &normalise(unnumbered), complete))
            || (self.stands_plain && is_or_begins(&self.line, &plain, complete))
    }
}

/// Whether `text` is `title`, or a beginning of it while the line is not `complete`.
fn is_or_begins(title: &str, text: &str, complete: bool) -> bool {
    if complete {
        title == text
    } else {
        title.starts_with(text)
    }
}

/// Letters and digits alone, in lower case: what makes two lines the same to a reader.
fn normalise(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// How much a normalised text says, in Latin letters: an ideograph says as much as two.
fn weight(normalised: &str) -> usize {
    let ideograph = |c: char| matches!(c, '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}');
    normalised
        .chars()
        .map(|c| 1 + usize::from(ideograph(c)))
        .sum()
}
