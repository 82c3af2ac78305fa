//! One sequence of the KV cache with the text that is written in it, section by section.
//!
//! A document whose sections see each other is one strand; one that is written in parallel has a strand for
//! each section under way.

use std::ops::Range;
use std::sync::Arc;

use crate::backend::{SequenceId, Token, Vocabulary};
use crate::document::{DocumentSpec, Layout, SectionSpec, WINDOW_KEEPS};
use crate::event::{Cause, DocumentId, EndReason, Event, Usage};
use crate::length::Length;
use crate::random::DrawKey;
use crate::transcript::{Origin, Transcript};
use crate::writing::{Next, Writing};

/// What there is to tell of a section that has ended.
#[derive(Debug)]
struct Settled {
    section: usize,
    /// Text that had been held back.
    rest: String,
    /// Tokens that stay.
    kept: Vec<Token>,
    words: u32,
    floor: u32,
}

/// Where a section stands in the transcript.
#[derive(Debug, Clone)]
struct Part {
    section: usize,
    /// The tokens that were read before it; empty for a finished section in the `paper` layout.
    open: Range<usize>,
    /// Its text.
    text: Range<usize>,
}

/// One sequence of a document.
#[derive(Debug)]
pub(crate) struct Strand {
    id: DocumentId,
    spec: Arc<DocumentSpec>,
    /// `None` until the document is admitted.
    pub(crate) sequence: Option<SequenceId>,
    transcript: Transcript,
    /// What stands behind the prefix, in order; the last one may be the section that is being written.
    parts: Vec<Part>,
    /// Sampled tokens of the text so far, for samplers that look back.
    history: Vec<Token>,
    writing: Option<Writing>,
    /// Words of the finished sections, the reader's count.
    words: u32,
    /// Line ends after the last finished section's text, as far as its tokens stay.
    line_ends: usize,
    cache_cut: bool,
    usage: Usage,
}

impl Strand {
    /// A strand with the document's prefix and nothing else.
    pub(crate) fn new(id: DocumentId, spec: Arc<DocumentSpec>) -> Self {
        let mut transcript = Transcript::default();
        transcript.append(&spec.prefix, Origin::Prompt);
        transcript.seal(spec.prefix.len());
        Self {
            id,
            spec,
            sequence: None,
            transcript,
            parts: Vec::new(),
            history: Vec::new(),
            writing: None,
            words: 0,
            line_ends: 0,
            cache_cut: false,
            usage: Usage::default(),
        }
    }

    /// A strand whose prefix is read already by another strand of the document; with `shared` its cells are
    /// common, else it is read again.
    pub(crate) fn fork(id: DocumentId, spec: Arc<DocumentSpec>, shared: bool) -> Self {
        let mut strand = Self::new(id, spec);
        strand.transcript.mark_cached(strand.spec.prefix.len());
        if !shared {
            strand.transcript.forget_cache();
        }
        strand
    }

    pub(crate) fn spec(&self) -> &DocumentSpec {
        &self.spec
    }

    pub(crate) fn transcript(&self) -> &Transcript {
        &self.transcript
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

    /// The section that is being written.
    pub(crate) fn section(&self) -> Option<usize> {
        self.writing.as_ref().map(|writing| writing.section)
    }

    /// Whether the pending tokens are one sampled token, as opposed to a prompt.
    pub(crate) fn is_decoding(&self) -> bool {
        self.writing.is_some() && self.transcript.awaits_sampled()
    }

    /// Whether tokens that end a turn are banned now.
    pub(crate) fn is_below_floor(&self) -> bool {
        self.writing.as_ref().is_some_and(Writing::is_below_floor)
    }

    /// Tokens that may not come next, since they led to text that was taken back.
    pub(crate) fn banned(&self) -> &[Token] {
        self.writing.as_ref().map_or(&[], Writing::banned)
    }

    /// How often text of the section was taken back.
    pub(crate) fn generation(&self) -> u32 {
        self.writing.as_ref().map_or(0, |writing| writing.rewinds)
    }

    /// Where the next token's random draw stands.
    pub(crate) fn draw_key(&self) -> DrawKey {
        let writing = self.writing.as_ref();
        DrawKey {
            seed: self.spec.seed,
            stream: self.spec.stream,
            // Checked against MAX_SECTIONS when the document was added.
            section: writing.map_or(0, |writing| writing.section as u16),
            attempt: self.spec.attempt,
            index: writing.map_or(0, |writing| writing.sampled),
        }
    }

    /// Notes that `count` pending tokens were evaluated; an event if they were a prompt.
    pub(crate) fn mark_cached(&mut self, count: usize) -> Option<Event> {
        let prompt = !self.is_decoding();
        let evaluated = self.transcript.mark_cached(count);
        self.usage.tokens_read += evaluated.read;
        self.usage.tokens_reread += evaluated.again;
        let writing = self.writing.as_ref()?;
        prompt.then(|| Event::Prefill {
            document: self.id,
            section: writing.section,
            done: writing
                .to_read
                .saturating_sub(self.transcript.pending().len()),
            total: writing.to_read,
        })
    }

    /// Notes that the KV cache lost this strand: all of it is read again.
    pub(crate) fn forget_cache(&mut self) {
        self.transcript.forget_cache();
        self.cache_cut = false;
        self.note_to_read();
    }

    /// Whether the KV cache holds tokens behind [`Transcript::cached`]; asking resets it.
    pub(crate) fn take_cache_cut(&mut self) -> bool {
        std::mem::take(&mut self.cache_cut)
    }

    /// Forgets all sections, so that the next one follows the prefix.
    pub(crate) fn rewind_to_prefix(&mut self) {
        self.cache_cut |= self.transcript.rewind(self.spec.prefix.len());
        self.parts.clear();
        self.history.clear();
    }

    /// Begins a section, with what an earlier process wrote of it. A section that had ended is taken in as it
    /// was; one that ends with what was written is closed at once.
    pub(crate) fn begin(
        &mut self,
        number: usize,
        vocabulary: &impl Vocabulary,
        events: &mut Vec<Event>,
    ) {
        let spec = Arc::clone(&self.spec);
        let section = &spec.sections[number];
        if section.finished {
            // What became of it is known and was told.
            self.open_section(number, &mut Vec::new());
            self.take_back_in(section, vocabulary);
            self.settle(vocabulary);
            return;
        }
        self.usage.tokens_reused += self.transcript.cached() as u64;
        let mut told = Vec::new();
        self.open_section(number, &mut told);
        let mut ended = None;
        for &token in &section.written {
            ended = self.take_in(token, Origin::Again, vocabulary, &mut told);
            if ended.is_some() {
                break;
            }
        }
        self.note_to_read();
        events.push(Event::SectionStarted {
            document: self.id,
            section: number,
            text: text_of(&told),
            words: self.writing.as_ref().map_or(0, Writing::words),
            settled: self.writing.as_ref().map_or(0, Writing::settled),
        });
        events.extend(
            told.into_iter()
                .filter(|event| matches!(event, Event::Compacted { .. })),
        );
        if let Some(reason) = ended {
            self.close(reason, vocabulary, events);
        }
    }

    /// Appends what is read before a section.
    fn open_section(&mut self, number: usize, events: &mut Vec<Event>) {
        self.open_part(number, events);
        if !matches!(self.spec.layout, Layout::Paper { .. }) {
            self.transcript.seal(self.transcript.len());
        }
        let start = self.transcript.len();
        self.writing = Some(Writing::new(
            &self.spec,
            number,
            self.length(number),
            start,
            self.history.len(),
        ));
        self.note_to_read();
    }

    /// Takes a finished section in as it was left.
    fn take_back_in(&mut self, section: &SectionSpec, vocabulary: &impl Vocabulary) {
        for &token in &section.written {
            self.push(token, Origin::Again, &mut Vec::new());
            self.history.push(token);
            let Some(writing) = &mut self.writing else {
                return;
            };
            if writing.text.push(vocabulary.piece(token)).ended {
                return;
            }
        }
    }

    /// The length of a section now that those before it are written.
    fn length(&self, number: usize) -> Length {
        let sections = &self.spec.sections;
        if !self.spec.rebalance || self.spec.layout == Layout::Parallel {
            return sections[number].length();
        }
        let planned: Vec<_> = sections.iter().map(SectionSpec::length).collect();
        Length::rebalanced(&planned, number, self.words)
    }

    /// Adds a sampled token to the section.
    pub(crate) fn accept(
        &mut self,
        token: Token,
        vocabulary: &impl Vocabulary,
        events: &mut Vec<Event>,
    ) {
        if self.writing.is_none() {
            return;
        }
        self.usage.tokens_written += 1;
        let ended = self.take_in(token, Origin::Sampled, vocabulary, events);
        self.note_to_read();
        if let Some(reason) = ended {
            self.close(reason, vocabulary, events);
        }
    }

    /// Takes a token of the section in, sampled now or by an earlier process; both come to the same. Returns
    /// why the section ends with it, if it does.
    fn take_in(
        &mut self,
        token: Token,
        origin: Origin,
        vocabulary: &impl Vocabulary,
        events: &mut Vec<Event>,
    ) -> Option<EndReason> {
        self.push(token, origin, events);
        self.history.push(token);
        let has_room = self.has_room();
        let writing = self.writing.as_mut()?;
        let (text, next) = writing.push(vocabulary.piece(token), has_room);
        let mut tokens = vec![token];
        let ended = match next {
            // What follows the sentence was never shown.
            Next::EndBefore(mark, reason) => {
                writing.text = *mark;
                Some((reason, None))
            }
            next => {
                events.push(Event::Text {
                    document: self.id,
                    section: writing.section,
                    text,
                    tokens: std::mem::take(&mut tokens),
                    words: writing.words(),
                    settled: writing.settled(),
                });
                match next {
                    Next::GoOn => return None,
                    Next::End(reason) => return Some(reason),
                    Next::CutBack(reason, cause) => {
                        Some((reason, writing.cut_back().then_some(cause)))
                    }
                    Next::Refuse(cause) => match self.refuse() {
                        true => {
                            self.tell_rewound(cause, tokens, events);
                            return None;
                        }
                        false if cause == Cause::EarlyHeading => {
                            return Some(EndReason::NextHeading);
                        }
                        false => return None,
                    },
                    Next::EndBefore(..) => unreachable!("handled above"),
                }
            }
        };
        let (reason, cut) = ended?;
        if let Some(cause) = cut {
            self.tell_rewound(cause, tokens, events);
        } else if !tokens.is_empty() {
            let writing = self.writing.as_ref()?;
            events.push(Event::Text {
                document: self.id,
                section: writing.section,
                text: String::new(),
                tokens,
                words: writing.words(),
                settled: writing.settled(),
            });
        }
        Some(reason)
    }

    fn tell_rewound(&self, cause: Cause, tokens: Vec<Token>, events: &mut Vec<Event>) {
        let Some(writing) = &self.writing else { return };
        events.push(Event::Rewound {
            document: self.id,
            section: writing.section,
            cause,
            text_kept: writing.text.released(),
            tokens,
            words: writing.words(),
        });
    }

    /// Whether the section may have more tokens than it was given, because those before it had fewer.
    fn has_room(&self) -> bool {
        let Some(writing) = &self.writing else {
            return false;
        };
        let section = &self.spec.sections[writing.section];
        match self.spec.window {
            Some(_) => writing.text.tokens() < 2 * section.max_tokens as usize,
            None => self.transcript.len() < self.spec.cells_through(writing.section),
        }
    }

    /// Goes back to the last place where the text could end, so that the model goes on from there. Returns
    /// whether there is such a place that was not tried too often.
    fn refuse(&mut self) -> bool {
        let Some(writing) = &mut self.writing else {
            return false;
        };
        let Some(length) = writing.go_back(self.transcript.tokens()) else {
            return false;
        };
        self.history
            .truncate(writing.history_start + writing.text.tokens());
        self.cache_cut |= self.transcript.truncate(length);
        // There are no logits left behind the last token that stays.
        self.cache_cut |= self.transcript.reread_last();
        if let Some(part) = self.parts.last_mut() {
            part.text.end = length;
        }
        true
    }

    /// Ends the section since the model ended its turn.
    pub(crate) fn end_turn(&mut self, vocabulary: &impl Vocabulary, events: &mut Vec<Event>) {
        self.close(EndReason::EndOfTurn, vocabulary, events);
    }

    /// Ends the section and says so.
    fn close(&mut self, reason: EndReason, vocabulary: &impl Vocabulary, events: &mut Vec<Event>) {
        let Some(settled) = self.settle(vocabulary) else {
            return;
        };
        let strict = self.spec.sections[settled.section].length().is_strict();
        events.push(Event::SectionEnded {
            document: self.id,
            section: settled.section,
            text: settled.rest,
            tokens: Vec::new(),
            kept: settled.kept,
            reason,
            words: settled.words,
            unfinished: if strict {
                settled.words < settled.floor
            } else {
                reason == EndReason::TokenLimit
            },
        });
    }

    /// Takes the finished section into the transcript as it stays there.
    fn settle(&mut self, vocabulary: &impl Vocabulary) -> Option<Settled> {
        let mut writing = self.writing.take()?;
        let rest = writing.text.finish();
        let kept = writing.text.kept();
        self.history.truncate(writing.history_start + kept.end);
        let tokens = self.history[writing.history_start..].to_vec();
        self.words += writing.words();
        let place = |token: usize| writing.place(token);
        let kept_text = place(kept.start)..place(kept.end);
        let spec = Arc::clone(&self.spec);
        match &spec.layout {
            Layout::Turns | Layout::Guided { .. } | Layout::Parallel => {
                self.cache_cut |= self.transcript.truncate(kept_text.end);
                if let Some(part) = self.parts.last_mut() {
                    part.text.end = kept_text.end;
                }
            }
            Layout::Paper { separator } => {
                let section = self.transcript.tokens()[kept_text].to_vec();
                self.cache_cut |= self.transcript.truncate(self.transcript.sealed());
                self.parts.pop();
                // The last section's text would be read for nothing.
                if writing.section + 1 < spec.sections.len() {
                    self.add_to_text_so_far(writing.section, &section, separator);
                }
            }
        }
        self.transcript.seal(self.transcript.len());
        self.line_ends = self.count_line_ends(vocabulary);
        Some(Settled {
            section: writing.section,
            rest,
            kept: tokens,
            words: writing.words(),
            floor: writing.length.floor,
        })
    }

    /// Appends what is read before a section.
    fn open_part(&mut self, number: usize, events: &mut Vec<Event>) {
        let mut open = self.opening(number);
        if self.transcript.len() + open.len() + 1 > self.capacity() {
            self.compact(number, events);
            open = self.opening(number);
        }
        let start = self.transcript.len();
        self.transcript.append(&open, Origin::Prompt);
        let end = self.transcript.len();
        self.parts.push(Part {
            section: number,
            open: start..end,
            text: end..end,
        });
    }

    /// What is read before a section that is begun now.
    fn opening(&self, number: usize) -> Vec<Token> {
        let section = &self.spec.sections[number];
        match (&self.spec.layout, self.parts.is_empty()) {
            (Layout::Paper { .. }, _) => section.open.clone(),
            (_, true) => Self::open_first(section).to_vec(),
            (Layout::Guided { leads }, false) => {
                [&leads[self.line_ends.min(2)][..], &section.open].concat()
            }
            (Layout::Turns | Layout::Parallel, false) => section.open.clone(),
        }
    }

    fn open_first(section: &SectionSpec) -> &[Token] {
        if section.open_first.is_empty() {
            &section.open
        } else {
            &section.open_first
        }
    }

    /// Appends a finished section where the `paper` layout has the text so far.
    fn add_to_text_so_far(&mut self, number: usize, text: &[Token], separator: &[Token]) {
        let start = self.transcript.len();
        self.transcript.append(text, Origin::Again);
        let end = self.transcript.len();
        self.parts.push(Part {
            section: number,
            open: start..start,
            text: start..end,
        });
        self.transcript.append(separator, Origin::Prompt);
    }

    /// Appends a token of the last part's text.
    fn push(&mut self, token: Token, origin: Origin, events: &mut Vec<Event>) {
        if self.transcript.len() + 1 > self.capacity() {
            let section = self.parts.last().map_or(0, |part| part.section);
            self.compact(section, events);
        }
        self.transcript.append(&[token], origin);
        if let Some(part) = self.parts.last_mut() {
            part.text.end = self.transcript.len();
        }
    }

    fn capacity(&self) -> usize {
        self.spec
            .window
            .map_or(usize::MAX, |window| window as usize)
    }

    /// Lays the text out anew with its end only, so that a part of the window is free again.
    fn compact(&mut self, section: usize, events: &mut Vec<Event>) {
        let spec = Arc::clone(&self.spec);
        let prefix = spec.prefix.len();
        let old = self.transcript.tokens()[prefix..].to_vec();
        let text = |part: &Part| &old[part.text.start - prefix..part.text.end - prefix];
        let open = |part: &Part| &old[part.open.start - prefix..part.open.end - prefix];
        let mut room = (self.capacity() - prefix) * WINDOW_KEEPS.0 / WINDOW_KEEPS.1;
        let separator: &[Token] = match &spec.layout {
            Layout::Paper { separator } => separator,
            _ => &[],
        };
        // From the end: whole sections while there is room, of the last one at least its own end.
        let parts = std::mem::take(&mut self.parts);
        let mut kept: Vec<(&Part, usize)> = Vec::new();
        for part in parts.iter().rev() {
            let first = Self::open_first(&spec.sections[part.section]).len();
            let beside = open(part).len().max(first) + separator.len();
            let fits = room.saturating_sub(beside);
            let whole = text(part).len();
            if whole > fits && !kept.is_empty() {
                break;
            }
            let tokens = whole.min(fits);
            kept.push((part, tokens));
            room = room.saturating_sub(beside + tokens);
        }
        kept.reverse();
        let seen: usize = parts.iter().map(|part| text(part).len()).sum();
        let still_seen: usize = kept.iter().map(|(_, tokens)| tokens).sum();
        self.cache_cut |= self.transcript.rewind(prefix);
        let writes = self.writing.is_some();
        for (place, &(part, tokens)) in kept.iter().enumerate() {
            let start = self.transcript.len();
            if place == 0 && !open(part).is_empty() {
                let first = Self::open_first(&spec.sections[part.section]);
                self.transcript.append(first, Origin::Again);
            } else {
                self.transcript.append(open(part), Origin::Again);
            }
            let opened = self.transcript.len();
            let text = text(part);
            self.transcript
                .append(&text[text.len() - tokens..], Origin::Again);
            self.parts.push(Part {
                section: part.section,
                open: start..opened,
                text: opened..self.transcript.len(),
            });
            let last = place + 1 == kept.len();
            if last && writes {
                if let Some(writing) = &mut self.writing {
                    writing.start = opened;
                    writing.drop_front(text.len() - tokens);
                }
                if separator.is_empty() {
                    self.transcript.seal(opened);
                } else {
                    self.transcript.seal(start);
                }
            } else {
                self.transcript.append(separator, Origin::Again);
                self.transcript.seal(self.transcript.len());
            }
        }
        events.push(Event::Compacted {
            document: self.id,
            section,
            kept: still_seen,
            dropped: seen - still_seen,
        });
    }

    /// Notes how much has to be read from here, unless only the sampled token waits.
    fn note_to_read(&mut self) {
        let pending = self.transcript.pending().len();
        if !self.is_decoding()
            && let Some(writing) = &mut self.writing
        {
            writing.to_read = pending;
        }
    }

    /// Line ends at the end of the transcript.
    fn count_line_ends(&self, vocabulary: &impl Vocabulary) -> usize {
        let pieces = self.transcript.tokens().iter().rev();
        let mut count = 0;
        for &token in pieces {
            let piece = vocabulary.piece(token);
            let ends = piece.iter().rev().take_while(|&&byte| byte == b'\n');
            let ends = ends.count();
            count += ends;
            if ends < piece.len() || piece.is_empty() {
                break;
            }
        }
        count
    }

    /// Checks what must hold between two steps, with `reserved` cells promised to the strand.
    ///
    /// # Errors
    /// The broken rule, in words.
    pub(crate) fn check_integrity(&self, reserved: u32) -> Result<(), String> {
        let transcript = &self.transcript;
        if transcript.cached() > transcript.len() || transcript.sealed() > transcript.len() {
            return Err(format!("document {}: transcript out of bounds", self.id));
        }
        if self.writing.is_some() && transcript.pending().is_empty() {
            return Err(format!("document {}: nothing left to evaluate", self.id));
        }
        if let (Some(writing), Some(part)) = (&self.writing, self.parts.last())
            && (part.text.start != writing.start || part.text.end != transcript.len())
        {
            return Err(format!("document {}: its section is misplaced", self.id));
        }
        if transcript.len() > reserved as usize {
            return Err(format!(
                "document {}: {} tokens, but {reserved} cells were reserved",
                self.id,
                transcript.len()
            ));
        }
        Ok(())
    }
}

/// The text that events tell of, as it stands in the end.
fn text_of(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        match event {
            Event::Text { text: more, .. } => text.push_str(more),
            Event::Rewound { text_kept, .. } => {
                let end = text.char_indices().nth(*text_kept);
                text.truncate(end.map_or(text.len(), |(end, _)| end));
            }
            _ => {}
        }
    }
    text
}
