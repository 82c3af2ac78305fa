//! What runs in each step: `schedule()` makes a plan, `apply()` takes its result.
//!
//! Documents wait in the order of adding until a sequence and all the KV cells that they can need are
//! free. Each step holds one token of every writing section; the rest of the token budget is filled with
//! chunks of prompts, in the order of admission. Both calls are deterministic and touch nothing
//! outside, so a test can invent results and needs no model.

use std::collections::{BTreeMap, VecDeque};

use crate::backend::{DecodeError, Limits, Row, SampleError, SequenceId, Token, Vocabulary};
use crate::document::{Document, DocumentSpec, SpecError};
use crate::event::{DocumentId, Event, Fault, Usage};
use crate::random::DrawKey;
use crate::slots::Slots;

/// Tokens of one document in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feed {
    /// The document.
    pub document: DocumentId,
    /// How many rows of the step are its.
    pub rows: usize,
    /// Whether they are a prompt, as opposed to the last sampled token.
    pub prefill: bool,
}

/// One token to sample after a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Output {
    /// Number of the row in the step.
    pub row: usize,
    /// The document.
    pub document: DocumentId,
    /// Its section.
    pub section: usize,
    /// The sampler chain to use.
    pub chain: usize,
    /// Where the random draw stands.
    pub key: DrawKey,
    /// Whether tokens that end a turn are banned.
    pub ban_stop: bool,
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

/// A document that holds a sequence.
#[derive(Debug)]
struct Running {
    sequence: SequenceId,
    document: Document,
}

/// The documents and the plan for the next step.
#[derive(Debug)]
pub struct Scheduler {
    limits: Limits,
    stop: Vec<Token>,
    slots: Slots,
    newest: Option<DocumentId>,
    waiting: VecDeque<(DocumentId, Document, Vec<Event>)>,
    /// Keyed by id, which is also the order of admission.
    running: BTreeMap<DocumentId, Running>,
    trims: Vec<Trim>,
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
            slots: Slots::new(limits.sequences, limits.cells),
            newest: None,
            waiting: VecDeque::new(),
            running: BTreeMap::new(),
            trims: Vec::new(),
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
        spec.validate(self.limits.cells)?;
        self.newest = Some(id);
        let (document, events) = Document::new(id, spec, vocabulary);
        self.waiting.push_back((id, document, events));
        Ok(())
    }

    /// Ends a document early and frees its cells. `None` if it is not there (any more).
    pub fn cancel(&mut self, id: DocumentId) -> Option<Event> {
        if let Some(place) = self.waiting.iter().position(|(waiting, ..)| *waiting == id) {
            let (_, document, _) = self.waiting.remove(place)?;
            return Some(ended(id, &document, Some(Fault::Cancelled)));
        }
        self.end(id, Some(Fault::Cancelled))
    }

    /// Whether no document waits or runs.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Sampled tokens of a running document's text, oldest first.
    #[must_use]
    pub fn history(&self, id: DocumentId) -> &[Token] {
        self.running
            .get(&id)
            .map_or(&[], |running| running.document.history())
    }

    /// The counters of a running document, for the times that only the engine knows.
    pub fn usage_mut(&mut self, id: DocumentId) -> Option<&mut Usage> {
        self.running
            .get_mut(&id)
            .map(|running| running.document.usage_mut())
    }

    /// Gives waiting documents their sequences, as many as there is room for, strictly in order.
    pub fn admit(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some((id, document, _)) = self.waiting.front() {
            let id = *id;
            // `add` has checked that it fits into an empty cache, so into u32.
            let Some(sequence) = self.slots.acquire(document.spec().reserve() as u32) else {
                break;
            };
            let Some((_, document, written)) = self.waiting.pop_front() else {
                break;
            };
            let complete = document.is_complete();
            events.extend(written);
            self.running.insert(id, Running { sequence, document });
            if complete {
                events.extend(self.end(id, None));
            }
        }
        events
    }

    /// Parts of the KV cache to remove before the next evaluation.
    pub fn take_trims(&mut self) -> Vec<Trim> {
        for running in self.running.values_mut() {
            if running.document.take_cache_cut() {
                let position = running.document.transcript().cached() as u32;
                self.trims.push(Trim {
                    sequence: running.sequence,
                    position,
                });
            }
        }
        std::mem::take(&mut self.trims)
    }

    /// Notes that the cache lost all of a sequence; its document is read again.
    pub fn forget(&mut self, sequence: SequenceId) {
        for running in self
            .running
            .values_mut()
            .filter(|running| running.sequence == sequence)
        {
            running.document.forget_cache();
        }
    }

    /// The next step. It is empty only if no document runs.
    #[must_use]
    pub fn schedule(&self) -> StepPlan {
        let mut plan = StepPlan::default();
        let mut budget = self.limits.batch_tokens as usize;
        let (writers, readers): (Vec<_>, Vec<_>) = self
            .running
            .iter()
            .partition(|(_, running)| running.document.is_decoding());
        for (&id, running) in writers.into_iter().chain(readers) {
            let count = running.document.transcript().pending().len().min(budget);
            if count == 0 {
                break;
            }
            budget -= count;
            feed(&mut plan, id, running, count);
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
            if let Some(running) = self.running.get_mut(&feed.document) {
                events.extend(running.document.mark_cached(feed.rows));
            }
        }
        for (output, sample) in plan.outputs.iter().zip(result.samples) {
            let Some(running) = self.running.get_mut(&output.document) else {
                continue;
            };
            match sample {
                Ok(token) if self.stop.contains(&token) => {
                    running.document.end_turn(vocabulary, &mut events);
                }
                Ok(token) => running.document.accept(token, vocabulary, &mut events),
                Err(error) => {
                    events.extend(self.end(output.document, Some(Fault::Sample(error))));
                    continue;
                }
            }
            if running.document.is_complete() {
                events.extend(self.end(output.document, None));
            }
        }
        events
    }

    /// Ends the documents that a failed evaluation has hurt; the others go on.
    fn apply_failure(&mut self, plan: &StepPlan, error: DecodeError) -> Vec<Event> {
        let hurt: Vec<_> = match error {
            // The cache is as it was, so one document less makes room for the others. The youngest
            // has the least to lose.
            DecodeError::NoRoom { .. } => plan
                .feeds
                .iter()
                .map(|feed| feed.document)
                .max()
                .into_iter()
                .collect(),
            DecodeError::Aborted
            | DecodeError::InvalidBatch { .. }
            | DecodeError::Failed { .. } => plan.feeds.iter().map(|feed| feed.document).collect(),
        };
        hurt.into_iter()
            .filter_map(|id| self.end(id, Some(Fault::Decode(error.clone()))))
            .collect()
    }

    /// Takes a running document out and frees its sequence.
    fn end(&mut self, id: DocumentId, fault: Option<Fault>) -> Option<Event> {
        let Running { sequence, document } = self.running.remove(&id)?;
        self.slots.release(sequence);
        self.trims.push(Trim {
            sequence,
            position: 0,
        });
        Some(ended(id, &document, fault))
    }

    /// Checks what must hold between two steps.
    ///
    /// # Errors
    /// The broken rule, in words.
    pub fn check_integrity(&self) -> Result<(), String> {
        let mut held: Vec<_> = self
            .running
            .values()
            .map(|running| running.sequence)
            .collect();
        held.sort_unstable();
        if !held.iter().copied().eq(self.slots.held()) {
            return Err(format!(
                "documents hold {held:?}, not the sequences given out"
            ));
        }
        let promised: u64 = self
            .running
            .values()
            .map(|running| running.document.spec().reserve())
            .sum();
        if promised > u64::from(self.slots.cells()) {
            return Err(format!(
                "{promised} cells promised of {}",
                self.slots.cells()
            ));
        }
        for running in self.running.values() {
            running.document.check_integrity()?;
        }
        for (_, document, _) in &self.waiting {
            document.check_integrity()?;
        }
        Ok(())
    }
}

/// Adds the next `count` pending tokens of a document to the plan, and an output if they are the last.
fn feed(plan: &mut StepPlan, id: DocumentId, running: &Running, count: usize) {
    let document = &running.document;
    let transcript = document.transcript();
    let last = count == transcript.pending().len();
    for (offset, &token) in transcript.pending()[..count].iter().enumerate() {
        plan.rows.push(Row {
            token,
            position: (transcript.cached() + offset) as u32,
            sequence: running.sequence,
            output: last && offset + 1 == count,
        });
    }
    plan.feeds.push(Feed {
        document: id,
        rows: count,
        prefill: !document.is_decoding(),
    });
    if last {
        plan.outputs.push(Output {
            row: plan.rows.len() - 1,
            document: id,
            section: document.section(),
            chain: document.spec().chain,
            key: document.draw_key(),
            ban_stop: document.is_below_floor(),
        });
    }
}

fn ended(id: DocumentId, document: &Document, fault: Option<Fault>) -> Event {
    Event::DocumentEnded {
        document: id,
        fault,
        usage: document.usage(),
    }
}
