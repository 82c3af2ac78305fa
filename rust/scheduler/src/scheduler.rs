//! What runs in each step: `schedule()` makes a plan, `apply()` takes its result.
//!
//! A document waits until a sequence and all the KV cells that it can need are free, in the order of adding;
//! a later one that fits may go first, but not more than [`MOST_OVERTAKES`] times. A document whose sections
//! are written in parallel gets further sequences while no document waits; each goes to the document
//! that has the fewest. Each step holds one token of every section that is written; the rest of the token
//! budget is filled with chunks of prompts, in the order of adding. Both calls are deterministic and touch
//! nothing outside, so a test can invent results and needs no model.

use std::collections::{BTreeMap, VecDeque};

use crate::backend::{DecodeError, Limits, Row, SampleError, SequenceId, Token, Vocabulary};
use crate::document::{DocumentSpec, SpecError};
use crate::draft::Draft;
use crate::event::{DocumentId, Event, Fault, Usage};
use crate::random::DrawKey;
use crate::slots::Slots;
use crate::strand::Strand;

/// How often a waiting document can be overtaken by later ones that fit where it does not. Then nothing is
/// admitted before it, so that none waits for ever.
pub const MOST_OVERTAKES: u32 = 16;

/// Tokens of one sequence in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feed {
    /// The document.
    pub document: DocumentId,
    /// The sequence.
    pub sequence: SequenceId,
    /// How many rows of the step are its.
    pub rows: usize,
    /// Whether they are a prompt, as opposed to the last sampled token.
    pub prefill: bool,
}

/// One token to sample after a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Number of the row in the step.
    pub row: usize,
    /// The document.
    pub document: DocumentId,
    /// The sequence.
    pub sequence: SequenceId,
    /// The section that is written in it.
    pub section: usize,
    /// The sampler chain to use.
    pub chain: usize,
    /// Where the random draw stands.
    pub key: DrawKey,
    /// Whether tokens that end a turn are banned.
    pub ban_stop: bool,
    /// Tokens that are banned beside them: those that led to text which was taken back.
    pub banned: Vec<Token>,
    /// Changes when text was taken back, so that the sampler has to see the history anew.
    pub generation: u32,
}

/// One call of the backend and what to sample after it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepPlan {
    /// The rows, those of a document together and in order.
    pub rows: Vec<Row>,
    /// Whose rows they are, in the same order.
    pub feeds: Vec<Feed>,
    /// The output rows, in order.
    pub outputs: Vec<Output>,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepResult {
    /// How the evaluation ended.
    pub decode: Result<(), DecodeError>,
    /// One entry for each output of the plan; empty if the evaluation failed.
    pub samples: Vec<Result<Token, SampleError>>,
}

/// A part of the KV cache that is no longer wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trim {
    /// The sequence.
    pub sequence: SequenceId,
    /// Everything from this position on goes.
    pub position: u32,
}

/// A part of the KV cache that a second sequence takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The sequence that has the tokens.
    pub from: SequenceId,
    /// The sequence that gets them.
    pub to: SequenceId,
    /// How many, from the first.
    pub length: u32,
}

/// A document that waits for room.
#[derive(Debug)]
struct Waiting {
    id: DocumentId,
    draft: Draft,
    /// What there is to tell once it is admitted.
    events: Vec<Event>,
    overtaken: u32,
}

/// The documents and the plan for the next step.
#[derive(Debug)]
pub struct Scheduler {
    limits: Limits,
    stop: Vec<Token>,
    slots: Slots,
    newest: Option<DocumentId>,
    waiting: VecDeque<Waiting>,
    running: BTreeMap<DocumentId, Draft>,
    /// Documents that were part of a failed evaluation: each is evaluated alone until it has caught up, so
    /// that only the one that fails again ends.
    suspects: VecDeque<DocumentId>,
    trims: Vec<Trim>,
    shares: Vec<Share>,
}

impl Scheduler {
    /// A scheduler for a backend with these limits. `stop` are the tokens that end a section.
    ///
    /// # Panics
    /// If a step could not hold one token of every sequence.
    #[must_use]
    pub fn new(limits: Limits, stop: Vec<Token>) -> Self {
        assert!(
            limits.sequences > 0
                && limits.batch_tokens >= limits.sequences
                && limits.outputs >= limits.sequences,
            "a step must hold one token of every sequence: {limits:?}"
        );
        Self {
            limits,
            stop,
            slots: Slots::new(limits.sequences, limits.cells, limits.cells_per_sequence),
            newest: None,
            waiting: VecDeque::new(),
            running: BTreeMap::new(),
            suspects: VecDeque::new(),
            trims: Vec::new(),
            shares: Vec::new(),
        }
    }

    /// The tokens that end a section.
    #[must_use]
    pub fn stop(&self) -> &[Token] {
        &self.stop
    }

    /// Queues a document under a number that is higher than all before.
    ///
    /// # Errors
    /// [`SpecError`] if it can never be written.
    ///
    /// # Panics
    /// If the number is not higher than all before.
    pub fn add(
        &mut self,
        id: DocumentId,
        spec: DocumentSpec,
        vocabulary: &impl Vocabulary,
    ) -> Result<(), SpecError> {
        assert!(
            self.newest.is_none_or(|newest| id > newest),
            "document {id} is not a new number"
        );
        spec.validate(&self.limits)?;
        self.newest = Some(id);
        let (draft, events) = Draft::new(id, spec, vocabulary);
        self.waiting.push_back(Waiting {
            id,
            draft,
            events,
            overtaken: 0,
        });
        Ok(())
    }

    /// Ends a document early and frees its cells. `None` if it is not there (any more).
    pub fn cancel(&mut self, id: DocumentId) -> Option<Event> {
        let place = self.waiting.iter().position(|waiting| waiting.id == id);
        if let Some(waiting) = place.and_then(|place| self.waiting.remove(place)) {
            return Some(ended(id, &waiting.draft, Some(Fault::Cancelled)));
        }
        self.end(id, Some(Fault::Cancelled))
    }

    /// Whether no document waits or runs.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Sequences in use.
    #[must_use]
    pub fn sequences_in_use(&self) -> usize {
        self.slots.held().count()
    }

    /// Sampled tokens of the text in a document's sequence, oldest first.
    #[must_use]
    pub fn history(&self, id: DocumentId, sequence: SequenceId) -> &[Token] {
        let strand = self
            .running
            .get(&id)
            .and_then(|draft| draft.strand(sequence));
        strand.map_or(&[], Strand::history)
    }

    /// The counters of a document's sequence, for the times that only the engine knows.
    pub fn usage_mut(&mut self, id: DocumentId, sequence: SequenceId) -> Option<&mut Usage> {
        let strand = self.running.get_mut(&id)?.strand_mut(sequence)?;
        Some(strand.usage_mut())
    }

    /// Gives free sequences away, as many as there is room for.
    pub fn admit(&mut self, vocabulary: &impl Vocabulary) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(place) = self.next_admission() {
            self.admit_waiting(place, &mut events);
        }
        // What waits for cells shall find them free one day, so nobody grows meanwhile.
        if self.waiting.is_empty() {
            while self.fork_one(vocabulary, &mut events) {}
        }
        events
    }

    /// The place of the waiting document that is admitted next.
    fn next_admission(&self) -> Option<usize> {
        for (place, waiting) in self.waiting.iter().enumerate() {
            // `add` has checked that it fits into an empty cache, so into u32.
            if self.slots.has_room(waiting.draft.spec().reserve() as u32) {
                return Some(place);
            }
            if waiting.overtaken >= MOST_OVERTAKES {
                return None;
            }
        }
        None
    }

    fn admit_waiting(&mut self, place: usize, events: &mut Vec<Event>) {
        for overtaken in self.waiting.iter_mut().take(place) {
            overtaken.overtaken += 1;
        }
        let Some(Waiting {
            id,
            mut draft,
            events: written,
            ..
        }) = self.waiting.remove(place)
        else {
            return;
        };
        events.extend(written);
        if draft.is_complete() {
            events.push(ended(id, &draft, None));
            return;
        }
        let sequence = self.slots.acquire(draft.spec().reserve() as u32);
        for strand in draft.strands_mut() {
            strand.sequence = sequence;
        }
        self.running.insert(id, draft);
    }

    /// Gives one more sequence to the document in parallel that has the fewest, the older one of two. Returns
    /// whether there was one to give and to take.
    fn fork_one(&mut self, vocabulary: &impl Vocabulary, events: &mut Vec<Event>) -> bool {
        let shared = self.limits.shared_cells;
        let neediest = self
            .running
            .iter()
            .filter_map(|(&id, draft)| {
                let cells = draft.spec().parallel_reserve(draft.next_fork()?);
                let fits = self.slots.has_room(cells) && !self.suspects.contains(&id);
                fits.then_some((draft.strands().len(), id, cells))
            })
            .min();
        let Some((_, id, cells)) = neediest else {
            return false;
        };
        let Some(draft) = self.running.get_mut(&id) else {
            return false;
        };
        let Some(sequence) = self.slots.acquire(cells) else {
            return false;
        };
        if !draft.fork(sequence, shared, vocabulary, events) {
            self.slots.release(sequence);
            return true;
        }
        if let Some(from) = draft.first_sequence().filter(|_| shared) {
            self.shares.push(Share {
                from,
                to: sequence,
                length: draft.spec().prefix.len() as u32,
            });
        }
        true
    }

    /// Parts of the KV cache to remove before the next evaluation.
    pub fn take_trims(&mut self) -> Vec<Trim> {
        let drafts = self.running.values_mut();
        for strand in drafts.flat_map(Draft::strands_mut) {
            if let Some(sequence) = strand.sequence
                && strand.take_cache_cut()
            {
                let position = strand.transcript().cached() as u32;
                self.trims.push(Trim { sequence, position });
            }
        }
        std::mem::take(&mut self.trims)
    }

    /// Parts of the KV cache to share before the next evaluation, after the trims.
    pub fn take_shares(&mut self) -> Vec<Share> {
        std::mem::take(&mut self.shares)
    }

    /// Notes that the cache lost all of a sequence; it is read again.
    pub fn forget(&mut self, sequence: SequenceId) {
        let drafts = self.running.values_mut();
        for strand in drafts.filter_map(|draft| draft.strand_mut(sequence)) {
            strand.forget_cache();
        }
    }

    /// The next step. It is empty only if no document runs.
    #[must_use]
    pub fn schedule(&self) -> StepPlan {
        let mut plan = StepPlan::default();
        let mut writers = Vec::new();
        let mut readers = Vec::new();
        for (&id, draft) in &self.running {
            if self.suspects.front().is_some_and(|&suspect| suspect != id) {
                continue;
            }
            for strand in draft.strands() {
                let Some(sequence) = strand.sequence else {
                    continue;
                };
                let list = if strand.is_decoding() {
                    &mut writers
                } else {
                    &mut readers
                };
                list.push((id, sequence, strand));
            }
        }
        // llama.cpp evaluates neighbouring sequences of a split cache together.
        writers.sort_unstable_by_key(|&(_, sequence, _)| sequence);
        for &(id, sequence, strand) in &writers {
            feed(&mut plan, id, sequence, strand, 1);
        }
        let mut budget = self.limits.batch_tokens as usize - plan.rows.len();
        if !plan.rows.is_empty() {
            budget = budget.min(self.limits.prompt_chunk as usize);
        }
        for (id, sequence, strand) in readers {
            let count = strand.transcript().pending().len().min(budget);
            if count == 0 {
                break;
            }
            budget -= count;
            feed(&mut plan, id, sequence, strand, count);
        }
        plan
    }

    /// Takes the result of a step and says what happened.
    ///
    /// # Panics
    /// If the number of samples is not that of the plan's outputs.
    pub fn apply(
        &mut self,
        plan: &StepPlan,
        result: StepResult,
        vocabulary: &impl Vocabulary,
    ) -> Vec<Event> {
        if let Err(error) = result.decode {
            return self.apply_failure(plan, error);
        }
        assert_eq!(
            result.samples.len(),
            plan.outputs.len(),
            "one sample for each output"
        );
        let mut events = Vec::new();
        for feed in &plan.feeds {
            if let Some(strand) = self.strand_mut(feed.document, feed.sequence) {
                events.extend(strand.mark_cached(feed.rows));
            }
        }
        for (output, sample) in plan.outputs.iter().zip(result.samples) {
            match sample {
                Ok(token) => {
                    let token = Some(token).filter(|token| !self.stop.contains(token));
                    self.take(output, token, vocabulary, &mut events);
                }
                Err(error) => {
                    events.extend(self.end(output.document, Some(Fault::Sample(error))));
                }
            }
        }
        self.acquit(plan);
        events
    }

    fn strand_mut(&mut self, id: DocumentId, sequence: SequenceId) -> Option<&mut Strand> {
        self.running.get_mut(&id)?.strand_mut(sequence)
    }

    /// Hands a sampled token, or the end of a turn, to its document.
    fn take(
        &mut self,
        output: &Output,
        token: Option<Token>,
        vocabulary: &impl Vocabulary,
        events: &mut Vec<Event>,
    ) {
        let Some(draft) = self.running.get_mut(&output.document) else {
            return;
        };
        if !draft.take(output.sequence, token, vocabulary, events) {
            return;
        }
        let complete = draft.is_complete();
        self.free(output.sequence);
        if complete {
            events.extend(self.end(output.document, None));
        }
    }

    /// Lets a suspect run with the others again once it has caught up.
    fn acquit(&mut self, plan: &StepPlan) {
        let Some(&suspect) = self.suspects.front() else {
            return;
        };
        let caught_up = self.running.get(&suspect).is_none_or(|draft| {
            let evaluated = plan.feeds.iter().any(|feed| feed.document == suspect);
            evaluated && draft.strands().iter().all(Strand::is_decoding)
        });
        if caught_up {
            self.suspects.pop_front();
        }
    }

    /// Sorts out which documents a failed evaluation has hurt; the others go on.
    fn apply_failure(&mut self, plan: &StepPlan, error: DecodeError) -> Vec<Event> {
        let mut documents: Vec<_> = plan.feeds.iter().map(|feed| feed.document).collect();
        documents.sort_unstable();
        documents.dedup();
        if let DecodeError::NoRoom { .. } = error {
            // The cache is as it was, so one document less makes room for the others. The youngest has the
            // least to lose.
            let youngest = documents.last().copied();
            return youngest
                .and_then(|id| self.end(id, Some(Fault::Decode(error))))
                .into_iter()
                .collect();
        }
        if let [only] = documents[..] {
            self.suspects.retain(|&suspect| suspect != only);
            return self
                .end(only, Some(Fault::Decode(error)))
                .into_iter()
                .collect();
        }
        // Which of them it was, only evaluating each alone can tell. Their cache is uncertain.
        for feed in &plan.feeds {
            self.trims.push(Trim {
                sequence: feed.sequence,
                position: 0,
            });
            if let Some(strand) = self.strand_mut(feed.document, feed.sequence) {
                strand.forget_cache();
            }
        }
        self.suspects = documents.into();
        Vec::new()
    }

    /// Takes a running document out and frees its sequences.
    fn end(&mut self, id: DocumentId, fault: Option<Fault>) -> Option<Event> {
        let draft = self.running.remove(&id)?;
        for sequence in draft.strands().iter().filter_map(|strand| strand.sequence) {
            self.free(sequence);
        }
        self.suspects.retain(|&suspect| suspect != id);
        Some(ended(id, &draft, fault))
    }

    fn free(&mut self, sequence: SequenceId) {
        self.slots.release(sequence);
        self.shares.retain(|share| share.to != sequence);
        self.trims.push(Trim {
            sequence,
            position: 0,
        });
    }

    /// Checks what must hold between two steps.
    ///
    /// # Errors
    /// The broken rule, in words.
    pub fn check_integrity(&self) -> Result<(), String> {
        let strands = || self.running.values().flat_map(Draft::strands);
        let mut held: Vec<_> = strands().filter_map(|strand| strand.sequence).collect();
        held.sort_unstable();
        if !held.iter().copied().eq(self.slots.held()) {
            return Err(format!(
                "documents hold {held:?}, not the sequences given out"
            ));
        }
        for draft in self.running.values() {
            draft.check_integrity()?;
            for strand in draft.strands() {
                let reserved = strand.sequence.map_or(0, |held| self.slots.reserved(held));
                strand.check_integrity(reserved)?;
            }
        }
        Ok(())
    }
}

/// Adds the next `count` pending tokens of a strand to the plan, and an output if they are the last.
fn feed(
    plan: &mut StepPlan,
    document: DocumentId,
    sequence: SequenceId,
    strand: &Strand,
    count: usize,
) {
    let transcript = strand.transcript();
    let last = count == transcript.pending().len();
    for (offset, &token) in transcript.pending()[..count].iter().enumerate() {
        plan.rows.push(Row {
            token,
            position: (transcript.cached() + offset) as u32,
            sequence,
            output: last && offset + 1 == count,
        });
    }
    plan.feeds.push(Feed {
        document,
        sequence,
        rows: count,
        prefill: !strand.is_decoding(),
    });
    if let Some(section) = strand.section().filter(|_| last) {
        plan.outputs.push(Output {
            row: plan.rows.len() - 1,
            document,
            sequence,
            section,
            chain: strand.spec().chain,
            key: strand.draw_key(),
            ban_stop: strand.is_below_floor(),
            banned: strand.banned().to_vec(),
            generation: strand.generation(),
        });
    }
}

fn ended(id: DocumentId, draft: &Draft, fault: Option<Fault>) -> Event {
    Event::DocumentEnded {
        document: id,
        fault,
        usage: draft.usage(),
    }
}
