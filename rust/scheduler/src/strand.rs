//! One sequence of the KV cache with the text that is written in it, section by section.
//!
//! A document whose sections see each other is one strand; one that is written in parallel has a strand for
//! each section under way.

use std::ops::Range;
use std::sync::Arc;

use crate::backend::{SequenceId, Token, Vocabulary};
use crate::document::{DocumentSpec, Layout, SectionSpec, WINDOW_KEEPS};
use crate::event::{DocumentId, EndReason, Event, Usage};
use crate::random::DrawKey;
use crate::text::{SectionText, Surroundings};
use crate::transcript::{Origin, Transcript};

/// The section that is being written.
#[derive(Debug)]
struct Writing {
    section: usize,
    /// Length of the transcript before its first token that is still there.
    start: usize,
    /// Tokens of it that went when the text outgrew the window.
    dropped: usize,
    /// Length of the strand's history before its first token.
    history_start: usize,
    /// Tokens that had to be read before the next token could be sampled.
    to_read: usize,
    text: SectionText,
    sampled: u32,
}

/// What there is to tell of a section that has ended.
#[derive(Debug)]
struct Settled {
    section: usize,
    /// Text that had been held back.
    rest: String,
    /// Sampled tokens that stay.
    kept: usize,
    words: u32,
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

/// The text of tokens that an earlier process sampled, got by reading them again.
#[derive(Debug)]
struct Replay {
    text: SectionText,
    released: String,
    sampled: usize,
    ended: Option<EndReason>,
}

impl Replay {
    fn new(
        section: &SectionSpec,
        surroundings: &Arc<Surroundings>,
        number: usize,
        vocabulary: &impl Vocabulary,
    ) -> Self {
        let mut replay = Self {
            text: SectionText::new(Arc::clone(surroundings), number),
            released: String::new(),
            sampled: 0,
            ended: None,
        };
        for &token in &section.written {
            let pushed = replay.text.push(vocabulary.piece(token));
            replay.released.push_str(&pushed.text);
            replay.sampled += 1;
            replay.ended = end_reason(section, &replay.text, pushed.ended, replay.sampled);
            // How a finished section ended is past; its tokens were cut then.
            if pushed.ended || (replay.ended.is_some() && !section.finished) {
                break;
            }
        }
        replay
    }
}

/// Why the section ends with the token just taken in, if it does.
fn end_reason(
    section: &SectionSpec,
    text: &SectionText,
    next_heading: bool,
    sampled: usize,
) -> Option<EndReason> {
    if next_heading {
        return Some(EndReason::NextHeading);
    }
    let words = text.counts().reader;
    let target = section.target_words;
    if target > 0 && words >= target {
        // A paragraph's end is the better place; a tenth more words are waited for one.
        let late = words >= target + target / 10;
        if text.ends_paragraph() || (late && text.ends_sentence()) {
            return Some(EndReason::TargetReached);
        }
    }
    (sampled >= section.max_tokens as usize).then_some(EndReason::TokenLimit)
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
        self.writing.as_ref().is_some_and(|writing| {
            writing.text.counts().reader < self.spec.sections[writing.section].floor_words
        })
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
        let replay = Replay::new(section, &spec.surroundings, number, vocabulary);
        if section.finished {
            // What became of it is known and was told.
            self.lay_out(number, section, replay, &mut Vec::new());
            self.settle(vocabulary);
            return;
        }
        self.usage.tokens_reused += self.transcript.cached() as u64;
        events.push(Event::SectionStarted {
            document: self.id,
            section: number,
            text: replay.released.clone(),
            words: replay.text.counts().reader,
        });
        let ended = replay.ended;
        self.lay_out(number, section, replay, events);
        if let Some(reason) = ended {
            self.close(reason, String::new(), Vec::new(), vocabulary, events);
        }
    }

    /// Appends what is read before a section, and what an earlier process wrote of it.
    fn lay_out(
        &mut self,
        number: usize,
        section: &SectionSpec,
        replay: Replay,
        events: &mut Vec<Event>,
    ) {
        self.open_part(number, events);
        if !matches!(self.spec.layout, Layout::Paper { .. }) {
            self.transcript.seal(self.transcript.len());
        }
        self.writing = Some(Writing {
            section: number,
            start: self.transcript.len(),
            dropped: 0,
            history_start: self.history.len(),
            to_read: 0,
            text: replay.text,
            sampled: replay.sampled as u32,
        });
        for &token in &section.written[..replay.sampled] {
            self.history.push(token);
            self.push(token, Origin::Again, events);
        }
        self.note_to_read();
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
        self.push(token, Origin::Sampled, events);
        self.note_to_read();
        self.history.push(token);
        self.usage.tokens_written += 1;
        let Some(writing) = &mut self.writing else {
            return;
        };
        writing.sampled += 1;
        let pushed = writing.text.push(vocabulary.piece(token));
        let section = &self.spec.sections[writing.section];
        let sampled = writing.sampled as usize;
        if let Some(reason) = end_reason(section, &writing.text, pushed.ended, sampled) {
            self.close(reason, pushed.text, vec![token], vocabulary, events);
            return;
        }
        events.push(Event::Text {
            document: self.id,
            section: writing.section,
            text: pushed.text,
            tokens: vec![token],
            words: writing.text.counts().reader,
        });
    }

    /// Ends the section since the model ended its turn.
    pub(crate) fn end_turn(&mut self, vocabulary: &impl Vocabulary, events: &mut Vec<Event>) {
        self.close(
            EndReason::EndOfTurn,
            String::new(),
            Vec::new(),
            vocabulary,
            events,
        );
    }

    /// Ends the section and says so.
    fn close(
        &mut self,
        reason: EndReason,
        mut text: String,
        tokens: Vec<Token>,
        vocabulary: &impl Vocabulary,
        events: &mut Vec<Event>,
    ) {
        let Some(settled) = self.settle(vocabulary) else {
            return;
        };
        text.push_str(&settled.rest);
        events.push(Event::SectionEnded {
            document: self.id,
            section: settled.section,
            text,
            tokens,
            kept: settled.kept,
            reason,
            words: settled.words,
        });
    }

    /// Takes the finished section into the transcript as it stays there.
    fn settle(&mut self, vocabulary: &impl Vocabulary) -> Option<Settled> {
        let mut writing = self.writing.take()?;
        let rest = writing.text.finish();
        let kept = writing.text.kept();
        self.history.truncate(writing.history_start + kept.end);
        let place = |token: usize| writing.start + token.saturating_sub(writing.dropped);
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
            kept: kept.end,
            words: writing.text.counts().reader,
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
                    writing.dropped += text.len() - tokens;
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
