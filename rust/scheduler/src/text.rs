//! The text of one section: from the pieces of sampled tokens to clean text that can be streamed.
//!
//! Echoes of the prompt at the start are taken out, the heading of another section ends this one, and
//! nothing is released that might still have to be taken back.

mod decode;
mod label;
mod line;
mod shape;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use decode::Decoder;
use line::{LineRules, MOST_ECHOES, Place, Verdict};
pub use shape::Rest;
use shape::Shape;

use crate::words::{WordCounter, WordCounts};

/// What surrounds the sections of a document: by this echoes and headings are recognised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The title of each section.
    pub titles: Vec<String>,
    /// Texts of the prompt that a section should not repeat at its start: instruction, plan.
    pub echoes: Vec<String>,
    /// Whether echoes and headings are looked for at all; without, text is only decoded and trimmed.
    pub enabled: bool,
}

/// What came of one token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Text that is sure now; may be empty.
    pub text: String,
    /// Another section's heading began; later tokens are ignored.
    pub ended: bool,
}

/// The text of one section while it is sampled. Each token costs time proportional to its piece.
///
/// All released text together neither begins nor ends with blanks (but for the ideographic space, which
/// indents a first paragraph, too) and has no more than one empty line in a row.
#[derive(Debug, Clone)]
pub struct SectionText {
    rules: LineRules,
    decoder: Decoder,
    counter: WordCounter,
    /// Tokens pushed so far.
    tokens: usize,
    /// The start of the line while its verdict is open; `None` once it is text.
    held: Option<HeldLine>,
    /// The rest of the line is an echo that was too long to hold.
    dropping: bool,
    /// Lines that were taken out at the start.
    echoes: usize,
    /// Blanks that are released when text follows, with at most two line ends.
    blanks: String,
    /// What the released text looks like at its end.
    shape: Shape,
    /// Characters that were released.
    released: usize,
    /// The first token that is part of released text.
    first_token: Option<usize>,
    /// The token with which another section's heading begins.
    cut: Option<usize>,
}

/// A line whose verdict is open.
#[derive(Debug, Clone, Default)]
struct HeldLine {
    text: String,
    /// From which byte on the text comes from which token.
    origins: Vec<(usize, usize)>,
}

impl HeldLine {
    fn push(&mut self, character: char, token: usize) {
        if self.origins.last().is_none_or(|&(_, last)| last != token) {
            self.origins.push((self.text.len(), token));
        }
        self.text.push(character);
    }

    /// The token that the byte at `offset` comes from.
    fn token_at(&self, offset: usize) -> Option<usize> {
        let after = self.origins.partition_point(|&(start, _)| start <= offset);
        self.origins[..after].last().map(|&(_, token)| token)
    }
}

impl SectionText {
    /// The empty text of section number `section`, counted from 0.
    #[must_use]
    pub fn new(surroundings: Arc<Surroundings>, section: usize) -> Self {
        Self {
            rules: LineRules::new(&surroundings, section),
            decoder: Decoder::default(),
            counter: WordCounter::default(),
            tokens: 0,
            held: Some(HeldLine::default()),
            dropping: false,
            echoes: 0,
            blanks: String::new(),
            shape: Shape::default(),
            released: 0,
            first_token: None,
            cut: None,
        }
    }

    /// Adds the piece of one sampled token.
    pub fn push(&mut self, piece: &[u8]) -> Pushed {
        if self.cut.is_some() {
            return Pushed {
                text: String::new(),
                ended: true,
            };
        }
        let decoded = self.decoder.push(piece);
        let mut text = String::new();
        self.tokens += 1;
        self.add(&decoded, &mut text);
        self.note(&text);
        Pushed {
            text,
            ended: self.cut.is_some(),
        }
    }

    /// Ends the section: releases what was held, as far as it is text.
    pub fn finish(&mut self) -> String {
        let mut text = String::new();
        if self.cut.is_none() {
            let rest = self.decoder.finish();
            self.add(rest, &mut text);
            self.decide(true, &mut text);
        }
        self.note(&text);
        text
    }

    /// Takes note of released text.
    fn note(&mut self, text: &str) {
        self.counter.push(text);
        self.shape.push(text);
        self.released += text.chars().count();
    }

    /// Words of the released text.
    #[must_use]
    pub fn counts(&self) -> WordCounts {
        self.counter.counts()
    }

    /// The tokens of the released text: from the first that was not wholly an echo to the one before another
    /// section's heading.
    #[must_use]
    pub fn kept(&self) -> Range<usize> {
        let end = self.cut.unwrap_or(self.tokens);
        self.first_token.unwrap_or(end).min(end)..end
    }

    /// Tokens pushed so far.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Characters that were released so far.
    #[must_use]
    pub fn released(&self) -> usize {
        self.released
    }

    /// The place that the text ends with, if it could end here.
    #[must_use]
    pub fn rest(&self) -> Option<Rest> {
        if !self.is_decided() {
            return None;
        }
        let newlines = self.blanks.matches('\n').count();
        self.shape.rest(newlines, !self.blanks.is_empty())
    }

    /// Whether a sentence ends here, should a blank follow.
    #[must_use]
    pub fn may_rest(&self) -> bool {
        self.is_decided() && self.blanks.is_empty() && self.shape.rest(0, true).is_some()
    }

    /// The beginning of the released line, if it is no code and stands behind the first paragraph, and whether
    /// the line has ended with it.
    #[must_use]
    pub(crate) fn later_line(&self) -> Option<(&str, bool)> {
        if self.shape.in_first_paragraph() || self.shape.in_code() {
            return None;
        }
        let (line, whole) = self.shape.line();
        Some((line, whole && self.blanks.contains('\n')))
    }

    /// Whether all that was pushed is text, none of it is waited for.
    fn is_decided(&self) -> bool {
        let held = self.held.as_ref().is_some_and(|held| !held.text.is_empty());
        self.first_token.is_some() && self.cut.is_none() && !held && self.decoder.is_whole()
    }

    /// The token that is being taken in.
    fn token(&self) -> usize {
        self.tokens.saturating_sub(1)
    }

    fn add(&mut self, decoded: &str, released: &mut String) {
        for line in decoded.split_inclusive('\n') {
            if self.cut.is_some() {
                return;
            }
            let (body, ends) = match line.strip_suffix('\n') {
                Some(body) => (body, true),
                None => (line, false),
            };
            self.add_to_line(body, released);
            if ends {
                self.decide(true, released);
                self.end_line();
            }
        }
    }

    /// Adds text without a line end. It is held character by character, so that the verdict does not depend
    /// on how the text is cut into tokens.
    fn add_to_line(&mut self, text: &str, released: &mut String) {
        let token = self.token();
        for (offset, character) in text.char_indices() {
            let Some(held) = &mut self.held else {
                if !self.dropping && self.cut.is_none() {
                    self.release(&text[offset..], token, released);
                }
                return;
            };
            held.push(character, token);
            self.decide(false, released);
        }
    }

    fn end_line(&mut self) {
        if self.cut.is_some() {
            return;
        }
        if self.first_token.is_some() {
            self.blanks.push('\n');
            if self.blanks.matches('\n').count() > 2 {
                "\n\n".clone_into(&mut self.blanks);
            }
        } else {
            self.blanks.clear();
        }
        self.dropping = false;
        self.held = Some(HeldLine::default());
    }

    /// Gives the verdict on the held line, if it can be given yet.
    fn decide(&mut self, complete: bool, released: &mut String) {
        let Some(held) = self.held.take() else { return };
        let place = if self.first_token.is_none() {
            Place::Head
        } else {
            let paragraph = self.blanks.matches('\n').count() > 1;
            Place::Inside { paragraph }
        };
        match self.rules.verdict(&held.text, complete, place) {
            Verdict::Undecided => self.held = Some(held),
            Verdict::Echo if self.echoes < MOST_ECHOES => {
                // A blank line is no echo of anything.
                self.echoes += usize::from(!held.text.trim().is_empty());
                self.dropping = !complete;
            }
            Verdict::Echo | Verdict::Text => self.release_line(&held, 0..0, 0, released),
            Verdict::Labelled { emphasis, from } => {
                self.release_line(&held, emphasis, from, released);
            }
            Verdict::NextHeading => {
                self.cut = Some(held.token_at(0).unwrap_or(self.token()));
            }
        }
    }

    /// Releases the held line from byte `from` on, behind the marks at `emphasis`.
    fn release_line(
        &mut self,
        held: &HeldLine,
        emphasis: Range<usize>,
        from: usize,
        released: &mut String,
    ) {
        let text = &held.text[from..];
        let blank = text.len() - text.trim_start().len();
        let token = held.token_at(from + blank).unwrap_or(self.token());
        if emphasis.is_empty() {
            self.release(text, token, released);
        } else {
            self.release(&format!("{}{text}", &held.text[emphasis]), token, released);
        }
    }

    /// Releases text of a line, of which the first visible character comes from `token`.
    fn release(&mut self, text: &str, token: usize, released: &mut String) {
        let body = text.trim_end();
        if !body.is_empty() {
            let blanks = std::mem::take(&mut self.blanks);
            if self.first_token.is_none() {
                self.first_token = Some(token);
                let edge = |c: char| c.is_whitespace() && c != '\u{3000}';
                released.push_str(format!("{blanks}{body}").trim_start_matches(edge));
            } else {
                released.push_str(&blanks);
                released.push_str(body);
            }
        }
        self.blanks.push_str(&text[body.len()..]);
    }
}
