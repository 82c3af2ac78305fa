//! One document: what was asked for, and the state of writing it.
//!
//! A document is a prefix (instruction and plan) and a list of sections. Before each section its
//! `open` tokens are read; then tokens are sampled until the section ends. The two layouts differ in what
//! becomes of a finished section (see [`Layout`]).

use std::sync::Arc;

use thiserror::Error;

use crate::backend::{Token, Vocabulary};
use crate::event::{DocumentId, EndReason, Event, Usage};
use crate::random::DrawKey;
use crate::text::{SectionText, Surroundings};
use crate::transcript::Transcript;

/// Most sections of a document, so that a section's number fits its place in a [`DrawKey`].
pub const MAX_SECTIONS: usize = u16::MAX as usize;

/// How the text so far is laid out for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// Each section stays where it was written, as the assistant's turn. Nothing is read twice.
    Turns,
    /// One prompt with the text so far inside and the step last (AgentWrite, arXiv 2408.07055,
    /// section 3). A finished section is read again where the text so far stands, followed by the
    /// separator.
    Paper {
        /// Tokens between two sections.
        separator: Vec<Token>,
    },
}

/// One section as it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SectionSpec {
    /// Tokens that are read before the section. Never empty: its last one gives the first logits.
    pub open: Vec<Token>,
    /// While the section has fewer words (the reader's count), tokens that end a turn are banned.
    pub floor_words: u32,
    /// Sampled tokens after which the section is cut.
    pub max_tokens: u32,
    /// Tokens that an earlier process sampled for this section.
    pub written: Vec<Token>,
    /// Whether the section had ended with them.
    pub finished: bool,
}

/// One document as it was asked for.
#[derive(Debug, Clone)]
pub struct DocumentSpec {
    /// Tokens that are read once, before everything else. May be empty.
    pub prefix: Vec<Token>,
    /// The sections in order; finished ones come first.
    pub sections: Vec<SectionSpec>,
    /// What becomes of a finished section.
    pub layout: Layout,
    /// Texts by which echoes and headings are recognised.
    pub surroundings: Arc<Surroundings>,
    /// Number of the backend's sampler chain.
    pub chain: usize,
    /// The user's seed.
    pub seed: u64,
    /// Tells documents with one seed apart.
    pub stream: u32,
    /// Tells repeated attempts at the same document apart.
    pub attempt: u16,
}

/// Why a document cannot be written at all.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpecError {
    /// There is nothing to write.
    #[error("the document has no sections")]
    NoSections,
    /// More sections than can be numbered.
    #[error("the document has {found} sections, more than {MAX_SECTIONS}")]
    TooManySections {
        /// Sections asked for.
        found: usize,
    },
    /// A section without a prompt of its own.
    #[error("section {section} has no tokens to read before it")]
    EmptyOpen {
        /// The section.
        section: usize,
    },
    /// A section that may not have a single token.
    #[error("section {section} has a limit of 0 tokens")]
    NoTokens {
        /// The section.
        section: usize,
    },
    /// A finished section behind an unfinished one.
    #[error("section {section} is finished, but an earlier one is not")]
    OutOfOrder {
        /// The section.
        section: usize,
    },
    /// The KV cache can never hold it.
    #[error("the document needs up to {needed} KV cells, there are {cells}")]
    TooLarge {
        /// Cells needed at most.
        needed: u64,
        /// Cells of the cache.
        cells: u32,
    },
}

impl DocumentSpec {
    /// KV cells that the document needs at most, while its last section is at its token limit.
    #[must_use]
    pub fn reserve(&self) -> u64 {
        let longest =
            |section: &SectionSpec| (section.max_tokens as usize).max(section.written.len());
        let opens = self.sections.iter().map(|section| section.open.len());
        let (separators, opens) = match &self.layout {
            Layout::Turns => (0, opens.sum::<usize>()),
            Layout::Paper { separator } => (
                separator.len() * self.sections.len(),
                opens.max().unwrap_or(0),
            ),
        };
        let written: usize = self.sections.iter().map(longest).sum();
        (self.prefix.len() + opens + written + separators) as u64
    }

    /// Checks everything that can be known before the start.
    ///
    /// # Errors
    /// See [`SpecError`].
    pub fn validate(&self, cells: u32) -> Result<(), SpecError> {
        if self.sections.is_empty() {
            return Err(SpecError::NoSections);
        }
        if self.sections.len() > MAX_SECTIONS {
            return Err(SpecError::TooManySections {
                found: self.sections.len(),
            });
        }
        let mut unfinished = false;
        for (section, spec) in self.sections.iter().enumerate() {
            if spec.open.is_empty() {
                return Err(SpecError::EmptyOpen { section });
            }
            if spec.max_tokens == 0 {
                return Err(SpecError::NoTokens { section });
            }
            if unfinished && (spec.finished || !spec.written.is_empty()) {
                return Err(SpecError::OutOfOrder { section });
            }
            unfinished |= !spec.finished;
        }
        let needed = self.reserve();
        if needed > u64::from(cells) {
            return Err(SpecError::TooLarge { needed, cells });
        }
        Ok(())
    }
}

/// The section that is being written.
#[derive(Debug)]
struct Writing {
    /// Length of the transcript before the first sampled token.
    start: usize,
    /// Length of the document's history before the first sampled token.
    history_start: usize,
    /// Tokens that had to be read before the first token could be sampled.
    to_read: usize,
    text: SectionText,
    sampled: u32,
}

/// The text of tokens that an earlier process sampled, got by reading them again.
#[derive(Debug)]
struct Replay {
    text: SectionText,
    released: String,
    sampled: usize,
    ended: bool,
}

impl Replay {
    fn new(
        section: &SectionSpec,
        surroundings: &Arc<Surroundings>,
        number: usize,
        vocabulary: &impl Vocabulary,
    ) -> Self {
        let text = SectionText::new(Arc::clone(surroundings), number);
        let mut replay = Self {
            text,
            released: String::new(),
            sampled: 0,
            ended: false,
        };
        for &token in &section.written {
            let pushed = replay.text.push(vocabulary.piece(token));
            replay.released.push_str(&pushed.text);
            replay.sampled += 1;
            replay.ended = pushed.ended;
            if replay.ended {
                break;
            }
        }
        replay
    }
}

/// The state of one document.
#[derive(Debug)]
pub(crate) struct Document {
    id: DocumentId,
    spec: Arc<DocumentSpec>,
    transcript: Transcript,
    /// Sampled tokens of the text so far, for samplers that look back.
    history: Vec<Token>,
    section: usize,
    writing: Option<Writing>,
    cache_cut: bool,
    usage: Usage,
}

impl Document {
    /// A document ready to run, and the events of what an earlier process had already written.
    pub(crate) fn new(
        id: DocumentId,
        spec: DocumentSpec,
        vocabulary: &impl Vocabulary,
    ) -> (Self, Vec<Event>) {
        let mut document = Self {
            id,
            spec: Arc::new(spec),
            transcript: Transcript::default(),
            history: Vec::new(),
            section: 0,
            writing: None,
            cache_cut: false,
            usage: Usage::default(),
        };
        let spec = Arc::clone(&document.spec);
        document.read(&spec.prefix);
        document.transcript.seal(spec.prefix.len());
        let mut events = Vec::new();
        document.open_section(vocabulary, &mut events);
        (document, events)
    }

    pub(crate) fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    pub(crate) fn spec(&self) -> &DocumentSpec {
        &self.spec
    }

    pub(crate) fn section(&self) -> usize {
        self.section
    }

    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    pub(crate) fn usage_mut(&mut self) -> &mut Usage {
        &mut self.usage
    }

    /// Sampled tokens of the text so far, oldest first.
    pub(crate) fn history(&self) -> &[Token] {
        &self.history
    }

    /// Whether every section has ended.
    pub(crate) fn is_complete(&self) -> bool {
        self.section == self.spec.sections.len()
    }

    /// Whether the pending tokens are one sampled token, as opposed to a prompt.
    pub(crate) fn is_decoding(&self) -> bool {
        let sampled = self
            .writing
            .as_ref()
            .is_some_and(|writing| writing.sampled > 0);
        sampled && self.transcript.pending().len() == 1
    }

    /// Whether tokens that end a turn are banned now.
    pub(crate) fn is_below_floor(&self) -> bool {
        let floor = self
            .spec
            .sections
            .get(self.section)
            .map_or(0, |section| section.floor_words);
        self.writing
            .as_ref()
            .is_some_and(|writing| writing.text.counts().reader < floor)
    }

    /// Where the next token's random draw stands.
    pub(crate) fn draw_key(&self) -> DrawKey {
        DrawKey {
            seed: self.spec.seed,
            stream: self.spec.stream,
            // Checked against MAX_SECTIONS when the document was added.
            section: self.section as u16,
            attempt: self.spec.attempt,
            index: self.writing.as_ref().map_or(0, |writing| writing.sampled),
        }
    }

    /// Notes that `count` pending tokens were evaluated; an event if they were a prompt.
    pub(crate) fn mark_cached(&mut self, count: usize) -> Option<Event> {
        let prompt = !self.is_decoding();
        self.transcript.mark_cached(count);
        let writing = self.writing.as_ref()?;
        prompt.then(|| Event::Prefill {
            document: self.id,
            section: self.section,
            done: writing
                .to_read
                .saturating_sub(self.transcript.pending().len()),
            total: writing.to_read,
        })
    }

    /// Notes that the KV cache lost this document: all of it is read again.
    pub(crate) fn forget_cache(&mut self) {
        let lost = self.transcript.cached() as u64;
        self.usage.tokens_read += lost;
        self.usage.tokens_reread += lost;
        self.transcript.forget_cache();
        self.cache_cut = false;
        if let Some(writing) = &mut self.writing {
            writing.to_read = self.transcript.pending().len();
        }
    }

    /// Whether the KV cache holds tokens behind [`Transcript::cached`]; asking resets it.
    pub(crate) fn take_cache_cut(&mut self) -> bool {
        std::mem::take(&mut self.cache_cut)
    }

    /// Adds a sampled token to the section.
    pub(crate) fn accept(
        &mut self,
        token: Token,
        vocabulary: &impl Vocabulary,
        events: &mut Vec<Event>,
    ) {
        let limit = self.spec.sections[self.section].max_tokens;
        let Some(writing) = &mut self.writing else {
            return;
        };
        self.transcript.append(&[token]);
        self.history.push(token);
        self.usage.tokens_written += 1;
        writing.sampled += 1;
        let pushed = writing.text.push(vocabulary.piece(token));
        let reason = if pushed.ended {
            EndReason::NextHeading
        } else if writing.sampled >= limit {
            EndReason::TokenLimit
        } else {
            let words = writing.text.counts().reader;
            events.push(Event::Text {
                document: self.id,
                section: self.section,
                text: pushed.text,
                tokens: vec![token],
                words,
            });
            return;
        };
        self.end_section(reason, pushed.text, vec![token], vocabulary, events);
    }

    /// Ends the section since the model ended its turn.
    pub(crate) fn end_turn(&mut self, vocabulary: &impl Vocabulary, events: &mut Vec<Event>) {
        self.end_section(
            EndReason::EndOfTurn,
            String::new(),
            Vec::new(),
            vocabulary,
            events,
        );
    }

    fn end_section(
        &mut self,
        reason: EndReason,
        text: String,
        tokens: Vec<Token>,
        vocabulary: &impl Vocabulary,
        events: &mut Vec<Event>,
    ) {
        if let Some(event) = self.close_section(reason, text, tokens) {
            events.push(event);
            self.open_section(vocabulary, events);
        }
    }

    /// Appends prompt tokens.
    fn read(&mut self, tokens: &[Token]) {
        self.transcript.append(tokens);
        self.usage.tokens_read += tokens.len() as u64;
    }

    /// Appends tokens that the model has seen before, to be evaluated at another place.
    fn reread(&mut self, tokens: &[Token]) {
        self.read(tokens);
        self.usage.tokens_reread += tokens.len() as u64;
    }

    /// Begins the next section that is not finished, with what an earlier process wrote.
    fn open_section(&mut self, vocabulary: &impl Vocabulary, events: &mut Vec<Event>) {
        let spec = Arc::clone(&self.spec);
        while let Some(section) = spec.sections.get(self.section) {
            let replay = Replay::new(section, &spec.surroundings, self.section, vocabulary);
            if section.finished {
                self.restore_section(section, replay);
                continue;
            }
            self.usage.tokens_reused += self.transcript.cached() as u64;
            self.read(&section.open);
            let start = self.transcript.len();
            if spec.layout == Layout::Turns {
                self.transcript.seal(start);
            }
            let history_start = self.history.len();
            let written = &section.written[..replay.sampled];
            self.reread(written);
            self.history.extend_from_slice(written);
            events.push(Event::SectionStarted {
                document: self.id,
                section: self.section,
                text: replay.released,
                words: replay.text.counts().reader,
            });
            self.writing = Some(Writing {
                start,
                history_start,
                to_read: self.transcript.pending().len(),
                text: replay.text,
                sampled: replay.sampled as u32,
            });
            let reason = if replay.ended {
                EndReason::NextHeading
            } else if replay.sampled as u32 >= section.max_tokens {
                EndReason::TokenLimit
            } else {
                return;
            };
            events.extend(self.close_section(reason, String::new(), Vec::new()));
        }
    }

    /// Takes in a section that an earlier process finished and reported.
    fn restore_section(&mut self, section: &SectionSpec, mut replay: Replay) {
        replay.text.finish();
        let kept = replay.text.kept();
        self.history.extend_from_slice(&section.written[..kept.end]);
        let spec = Arc::clone(&self.spec);
        match &spec.layout {
            Layout::Turns => {
                self.read(&section.open);
                self.reread(&section.written[..kept.end]);
            }
            Layout::Paper { separator } => {
                self.reread(&section.written[kept]);
                self.read(separator);
            }
        }
        self.transcript.seal(self.transcript.len());
        self.section += 1;
    }

    /// Takes the finished section into the transcript and moves on to the next one.
    fn close_section(
        &mut self,
        reason: EndReason,
        mut text: String,
        tokens: Vec<Token>,
    ) -> Option<Event> {
        let mut writing = self.writing.take()?;
        text.push_str(&writing.text.finish());
        let kept = writing.text.kept();
        self.history.truncate(writing.history_start + kept.end);
        let spec = Arc::clone(&self.spec);
        match &spec.layout {
            Layout::Turns => {
                self.cache_cut |= self.transcript.truncate(writing.start + kept.end);
            }
            Layout::Paper { separator } => {
                let section = writing.start + kept.start..writing.start + kept.end;
                let section = self.transcript.tokens()[section].to_vec();
                self.cache_cut |= self.transcript.truncate(self.transcript.sealed());
                // The last section's text would be read for nothing.
                if self.section + 1 < spec.sections.len() {
                    self.reread(&section);
                    self.read(separator);
                }
            }
        }
        self.transcript.seal(self.transcript.len());
        let event = Event::SectionEnded {
            document: self.id,
            section: self.section,
            text,
            tokens,
            kept: kept.end,
            reason,
            words: writing.text.counts().reader,
        };
        self.section += 1;
        Some(event)
    }

    /// Checks what must hold between two steps.
    ///
    /// # Errors
    /// The broken rule, in words.
    pub(crate) fn check_integrity(&self) -> Result<(), String> {
        let transcript = &self.transcript;
        if transcript.cached() > transcript.len() || transcript.sealed() > transcript.len() {
            return Err(format!("document {}: transcript out of bounds", self.id));
        }
        if self.is_complete() != self.writing.is_none() {
            return Err(format!("document {}: complete and still writing", self.id));
        }
        if self.writing.is_some() && transcript.pending().is_empty() {
            return Err(format!("document {}: nothing left to evaluate", self.id));
        }
        if transcript.len() as u64 > self.spec.reserve() {
            return Err(format!(
                "document {}: more tokens than were reserved",
                self.id
            ));
        }
        Ok(())
    }
}
