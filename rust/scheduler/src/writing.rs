//! The section that is being written: its text, the places that it can go back to, and what becomes of it next.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::backend::Token;
use crate::document::DocumentSpec;
use crate::event::{Cause, EndReason};
use crate::exits::{Exit, closes_by_title, exit};
use crate::length::Length;
use crate::text::{Rest, SectionText};

/// Words before the end from which on places to go back to are kept. Text before them is settled.
const KEPT_WORDS: u32 = 200;
/// How often the text goes back to one place.
const MOST_TRIES: usize = 3;
/// How often a section's text goes back at most, and one more time for so many words of its target.
const MOST_REWINDS: u32 = 8;
const WORDS_PER_REWIND: u32 = 40;

/// What becomes of a section after a token.
#[derive(Debug)]
pub(crate) enum Next {
    GoOn,
    End(EndReason),
    /// It ends at a place before the token.
    EndBefore(Box<SectionText>, EndReason),
    /// It ends with the last place where it could.
    CutBack(EndReason, Cause),
    /// It goes on from the last place where it could end.
    Refuse(Cause),
}

/// The section that is being written.
#[derive(Debug)]
pub(crate) struct Writing {
    pub(crate) section: usize,
    /// Length of the transcript before its first token that is still there.
    pub(crate) start: usize,
    /// Tokens of it that went when the text outgrew the window.
    dropped: usize,
    /// Length of the strand's history before its first token.
    pub(crate) history_start: usize,
    /// Tokens that had to be read before the next token could be sampled.
    pub(crate) to_read: usize,
    pub(crate) text: SectionText,
    /// Tokens sampled for it, those that were taken back included: where the next random draw stands. So text
    /// that is written again has other draws.
    pub(crate) sampled: u32,
    pub(crate) length: Length,
    max_tokens: usize,
    /// Whether a closing paragraph may begin anywhere.
    closes: bool,
    /// The text at the places that it can go back to, oldest first.
    marks: VecDeque<SectionText>,
    /// The text where a sentence ends, should a blank follow.
    candidate: Option<Box<SectionText>>,
    /// How often text was taken back.
    pub(crate) rewinds: u32,
    /// The tokens that followed the place of the last rewind and led astray.
    tried: Vec<Token>,
    /// Tokens of the text at that place.
    tried_at: usize,
    /// Ways out are let pass, since refusing them did not help.
    lets_pass: bool,
}

impl Writing {
    /// A section without text, whose first token will stand at `start` in the transcript and at `history_start`
    /// in the history.
    pub(crate) fn new(
        spec: &DocumentSpec,
        section: usize,
        length: Length,
        start: usize,
        history_start: usize,
    ) -> Self {
        let title = spec.surroundings.titles.get(section);
        Self {
            section,
            start,
            dropped: 0,
            history_start,
            to_read: 0,
            text: SectionText::new(Arc::clone(&spec.surroundings), section),
            sampled: 0,
            length,
            max_tokens: spec.sections[section].max_tokens as usize,
            closes: title.is_some_and(|title| closes_by_title(title)),
            marks: VecDeque::new(),
            candidate: None,
            rewinds: 0,
            tried: Vec::new(),
            tried_at: 0,
            lets_pass: false,
        }
    }

    /// Words so far, the reader's count.
    pub(crate) fn words(&self) -> u32 {
        self.text.counts().reader
    }

    pub(crate) fn is_below_floor(&self) -> bool {
        self.words() < self.length.floor
    }

    /// Tokens that may not come next.
    pub(crate) fn banned(&self) -> &[Token] {
        if self.tried_at == self.text.tokens() {
            &self.tried
        } else {
            &[]
        }
    }

    /// Characters of the text that cannot be taken back any more.
    pub(crate) fn settled(&self) -> usize {
        let oldest = self.marks.front().or(self.candidate.as_deref());
        oldest.map_or(self.text.released(), SectionText::released)
    }

    /// The place of the text's token number `token` in the transcript.
    pub(crate) fn place(&self, token: usize) -> usize {
        self.start + token.saturating_sub(self.dropped)
    }

    /// Notes that the first `count` tokens that were still there are gone from the transcript.
    pub(crate) fn drop_front(&mut self, count: usize) {
        self.dropped += count;
        self.marks.retain(|mark| mark.tokens() > self.dropped);
    }

    /// Adds the piece of one token. Returns the text that is released, and what becomes of the section.
    /// `has_room`: it may have more tokens than it was given.
    pub(crate) fn push(&mut self, piece: &[u8], has_room: bool) -> (String, Next) {
        self.sampled += 1;
        let pushed = self.text.push(piece);
        let rest = self.text.rest();
        let sentence = if self.length.is_strict() || self.length.target > 0 {
            self.note_place(&pushed.text, rest)
        } else {
            None
        };
        let next = self.next(pushed.ended, rest, sentence, has_room);
        (pushed.text, next)
    }

    /// Keeps the places that the text can go back to. Returns the text at the end of a sentence that is only known
    /// now, by what follows it.
    fn note_place(&mut self, released: &str, rest: Option<Rest>) -> Option<Box<SectionText>> {
        let mut sentence = None;
        if let Some(candidate) = self.candidate.take() {
            let same = candidate.released() == self.text.released();
            if released.starts_with(char::is_whitespace) {
                self.mark((*candidate).clone());
                sentence = Some(candidate);
            } else if same && rest.is_some() {
                self.mark(*candidate);
                return None;
            } else if same {
                self.candidate = Some(candidate);
                return None;
            }
        }
        if rest.is_some() {
            self.mark(self.text.clone());
        } else if self.text.may_rest() {
            self.candidate = Some(Box::new(self.text.clone()));
        }
        sentence
    }

    fn mark(&mut self, text: SectionText) {
        let last = self.marks.back().map(SectionText::released);
        if last == Some(text.released()) {
            return;
        }
        self.marks.push_back(text);
        let words = self.words();
        while self.marks.len() > 2
            && words.saturating_sub(self.marks[1].counts().reader) > KEPT_WORDS
        {
            self.marks.pop_front();
        }
    }

    fn next(
        &self,
        next_heading: bool,
        rest: Option<Rest>,
        sentence: Option<Box<SectionText>>,
        has_room: bool,
    ) -> Next {
        let words = self.words();
        let held = self.length.is_strict() && self.is_below_floor() && !self.lets_pass;
        if next_heading {
            return if held {
                Next::Refuse(Cause::EarlyHeading)
            } else {
                Next::End(EndReason::NextHeading)
            };
        }
        if let Some(sentence) = sentence
            && let Some(reason) = self
                .length
                .end(sentence.counts().reader, Some(Rest::Sentence))
        {
            return Next::EndBefore(sentence, reason);
        }
        match self.length.end(words, rest) {
            Some(EndReason::Ceiling) => {
                return Next::CutBack(EndReason::Ceiling, Cause::Ceiling);
            }
            Some(reason) => return Next::End(reason),
            None => {}
        }
        if held && self.leaves() {
            return Next::Refuse(Cause::EarlyEnd);
        }
        let full = self.text.tokens() >= self.max_tokens;
        match (full, self.length.is_strict()) {
            (false, _) => Next::GoOn,
            (true, true) if has_room && !self.has_floor_in_sentences() => Next::GoOn,
            (true, true) => Next::CutBack(EndReason::TokenLimit, Cause::TokenLimit),
            (true, false) => Next::End(EndReason::TokenLimit),
        }
    }

    /// Whether the text has the words of the floor when it is cut back to its last place to end.
    fn has_floor_in_sentences(&self) -> bool {
        let last = self.marks.back().map_or(0, |mark| mark.counts().reader);
        last >= self.length.floor
    }

    /// Whether the line begins a way out.
    fn leaves(&self) -> bool {
        let Some((line, complete)) = self.text.later_line() else {
            return false;
        };
        match exit(line, complete) {
            Some(Exit::Closing) => !self.closes && !self.length.may_close(self.words()),
            Some(Exit::End) => true,
            None => false,
        }
    }

    /// Cuts the text back to the last place where it could end. Returns whether anything went.
    pub(crate) fn cut_back(&mut self) -> bool {
        match self.marks.pop_back() {
            Some(mark) if mark.released() < self.text.released() => {
                self.text = mark;
                true
            }
            _ => false,
        }
    }

    /// Takes the text back to the last place where it could end, to go on from there with another token than
    /// before. Returns the length of the transcript that stays; `None` if there is no such place or it was
    /// tried too often, and from then on ways out are let pass.
    pub(crate) fn go_back(&mut self, transcript: &[Token]) -> Option<usize> {
        let most = MOST_REWINDS + self.length.target / WORDS_PER_REWIND;
        // Not to a sentence of the line itself: "The End." is one, too.
        if let Some((line, _)) = self.text.later_line() {
            let line_start = self.text.released() - line.chars().count();
            self.marks.retain(|mark| mark.released() <= line_start);
        }
        let mark = self.marks.back().filter(|_| self.rewinds < most).cloned();
        let astray = mark.as_ref().and_then(|mark| {
            let tried = if self.tried_at == mark.tokens() {
                self.tried.len()
            } else {
                0
            };
            let next = transcript.get(self.place(mark.tokens()));
            next.copied().filter(|_| tried < MOST_TRIES)
        });
        let (Some(mark), Some(astray)) = (mark, astray) else {
            self.lets_pass = true;
            return None;
        };
        if self.tried_at != mark.tokens() {
            self.tried.clear();
            self.tried_at = mark.tokens();
        }
        self.tried.push(astray);
        self.rewinds += 1;
        self.candidate = None;
        self.text = mark;
        Some(self.place(self.text.tokens()))
    }
}
