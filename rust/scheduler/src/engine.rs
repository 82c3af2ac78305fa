//! The loop: asks the scheduler for a step, lets the backend evaluate it, draws tokens, reports.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::backend::{Backend, Constraint, SampleError, SequenceId, Token};
use crate::document::{DocumentSpec, SpecError};
use crate::event::{DocumentId, Event};
use crate::random::choose;
use crate::scheduler::{Output, Scheduler, Share, StepPlan, StepResult, Trim};

/// Text of a section is gathered this long before it is reported. Each report wakes a reader, which
/// takes processor time from the evaluation; twenty a second still look like a stream.
pub const REPORT_INTERVAL: Duration = Duration::from_millis(50);

/// What an engine has done since it was made, over all documents.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Evaluations.
    pub steps: u64,
    /// Tokens that were evaluated.
    pub rows: u64,
    /// Seconds of all steps, whatever they did.
    pub step_seconds: f64,
    /// Seconds of each step times the sequences that were in use in it.
    pub sequence_seconds: f64,
}

/// The sampler of a sequence, and what it was opened for: document, section, and how often text of it had been
/// taken back.
#[derive(Debug)]
struct SectionSampler<S> {
    place: (DocumentId, usize, u32),
    sampler: S,
}

/// Writes documents on one backend.
#[derive(Debug)]
pub struct Engine<B: Backend> {
    backend: B,
    scheduler: Scheduler,
    /// One sampler for each sequence, renewed with each section.
    samplers: BTreeMap<SequenceId, SectionSampler<B::Sampler>>,
    reports: Reports,
    load: Load,
}

impl<B: Backend> Engine<B> {
    /// An engine on `backend`, where the tokens in `stop` end a section. Text is reported at most once in
    /// `report_interval` for each document.
    pub fn new(backend: B, stop: Vec<Token>, report_interval: Duration) -> Self {
        let scheduler = Scheduler::new(backend.limits(), stop);
        Self {
            backend,
            scheduler,
            samplers: BTreeMap::new(),
            reports: Reports {
                interval: report_interval,
                held: BTreeMap::new(),
            },
            load: Load::default(),
        }
    }

    /// Queues a document under a number that is higher than all before.
    ///
    /// # Errors
    /// [`SpecError`] if it can never be written.
    pub fn add(&mut self, document: DocumentId, spec: DocumentSpec) -> Result<(), SpecError> {
        self.scheduler.add(document, spec, &self.backend)
    }

    /// Makes one more sampler chain known to the backend and returns its number.
    pub fn add_chain(&mut self, chain: usize, grammar: usize) -> usize {
        self.backend.add_chain(chain, grammar)
    }

    /// Ends a document early.
    pub fn cancel(&mut self, document: DocumentId, emit: &mut dyn FnMut(Event)) {
        let event = self.scheduler.cancel(document);
        self.report(event.into_iter().collect(), emit);
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.scheduler.is_idle()
    }

    /// The backend, to look at.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The scheduler, for its checks.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// What was done so far.
    pub fn load(&self) -> Load {
        self.load
    }

    /// Runs one step. Does nothing while idle.
    pub fn step(&mut self, emit: &mut dyn FnMut(Event)) {
        let started = Instant::now();
        let admitted = self.scheduler.admit(&self.backend);
        self.report(admitted, emit);
        self.trim();
        self.share();
        let in_use = self.scheduler.sequences_in_use();
        let plan = self.scheduler.schedule();
        if plan.rows.is_empty() {
            return;
        }
        let decoding = Instant::now();
        let decode = self.backend.decode(&plan.rows);
        let decode_time = decoding.elapsed();
        let sampling = Instant::now();
        let samples = match decode {
            Ok(()) => plan
                .outputs
                .iter()
                .map(|output| self.sample(output))
                .collect(),
            Err(_) => Vec::new(),
        };
        let sampling_time = sampling.elapsed();
        // Times go in before the result: it may end a document, whose last event carries them.
        let other_time = started.elapsed() - decode_time - sampling_time;
        self.charge(&plan, decode_time, sampling_time, other_time);
        let applying = Instant::now();
        let events = self
            .scheduler
            .apply(&plan, StepResult { decode, samples }, &self.backend);
        self.report(events, emit);
        self.charge(&plan, Duration::ZERO, Duration::ZERO, applying.elapsed());
        let seconds = started.elapsed().as_secs_f64();
        self.load.steps += 1;
        self.load.rows += plan.rows.len() as u64;
        self.load.step_seconds += seconds;
        self.load.sequence_seconds += seconds * in_use as f64;
    }

    /// Removes what the scheduler no longer wants from the KV cache.
    fn trim(&mut self) {
        for Trim { sequence, position } in self.scheduler.take_trims() {
            if self.backend.truncate(sequence, position).is_err() {
                // Recurrent models cannot drop a part of a sequence: drop it all and read it again.
                // What is left if even that fails, the next evaluation reports as an invalid batch.
                let _ = self.backend.truncate(sequence, 0);
                self.scheduler.forget(sequence);
            }
        }
    }

    /// Gives the cells of a prefix to the sequences that begin with it.
    fn share(&mut self) {
        for Share { from, to, length } in self.scheduler.take_shares() {
            if self.backend.share(from, to, length).is_err() {
                self.scheduler.forget(to);
            }
        }
    }

    /// Draws the token of one output row.
    fn sample(&mut self, output: &Output) -> Result<Token, SampleError> {
        let (backend, scheduler) = (&mut self.backend, &self.scheduler);
        let place = (output.document, output.section, output.generation);
        let open = |backend: &mut B| {
            let history = scheduler.history(output.document, output.sequence);
            SectionSampler {
                place,
                sampler: backend.open_sampler(output.chain, history),
            }
        };
        let held = self
            .samplers
            .entry(output.sequence)
            .or_insert_with(|| open(backend));
        if held.place != place {
            *held = open(backend);
        }
        let sampler = &mut held.sampler;
        let stop = scheduler.stop().iter().filter(|_| output.ban_stop);
        let banned: Vec<Token> = stop.chain(&output.banned).copied().collect();
        let uniform = output.key.uniform();
        let candidates = backend.candidates(output.row, sampler, &banned, Constraint::Ignored)?;
        let mut token = choose(candidates, uniform)?;
        // Asking the grammar about one token is cheap, about the whole vocabulary it is not; the
        // model mostly proposes what the grammar allows anyway.
        if !backend.admits(sampler, token) {
            let candidates =
                backend.candidates(output.row, sampler, &banned, Constraint::Applied)?;
            token = choose(candidates, uniform)?;
        }
        if !scheduler.stop().contains(&token) {
            backend.accept(sampler, token);
        }
        Ok(token)
    }

    /// Shares the times of a step among its documents by their rows.
    fn charge(&mut self, plan: &StepPlan, decode: Duration, sampling: Duration, other: Duration) {
        for feed in &plan.feeds {
            let Some(usage) = self.scheduler.usage_mut(feed.document, feed.sequence) else {
                continue;
            };
            let share = feed.rows as f64 / plan.rows.len() as f64;
            if feed.prefill {
                usage.prefill_seconds += decode.as_secs_f64() * share;
            } else {
                usage.decode_seconds += decode.as_secs_f64() * share;
            }
            usage.sampling_seconds += sampling.as_secs_f64() * share;
            usage.other_seconds += other.as_secs_f64() * share;
        }
    }

    fn report(&mut self, events: Vec<Event>, emit: &mut dyn FnMut(Event)) {
        for event in events {
            if let Event::DocumentEnded { document, .. } = &event {
                self.samplers.retain(|_, held| held.place.0 != *document);
            }
            self.reports.pass(event, emit);
        }
    }
}

/// Gathers the text of each section so that it is reported in fewer, larger events.
#[derive(Debug)]
struct Reports {
    interval: Duration,
    held: BTreeMap<(DocumentId, usize), HeldText>,
}

#[derive(Debug, Default)]
struct HeldText {
    reported: Option<Instant>,
    text: String,
    tokens: Vec<Token>,
    words: u32,
    settled: usize,
}

impl Reports {
    /// Emits `event`, unless it is text that can still wait.
    fn pass(&mut self, event: Event, emit: &mut dyn FnMut(Event)) {
        let document = event.document();
        let Event::Text {
            section,
            text,
            tokens,
            words,
            settled,
            ..
        } = event
        else {
            // What happens to a document comes after all text that was written before it.
            let waiting = self.held.range((document, 0)..=(document, usize::MAX));
            for section in waiting
                .map(|(&(_, section), _)| section)
                .collect::<Vec<_>>()
            {
                self.release(document, section, emit);
            }
            match event {
                Event::SectionEnded { section, .. } => {
                    self.held.remove(&(document, section));
                }
                Event::DocumentEnded { .. } => self.held.retain(|&(held, _), _| held != document),
                _ => {}
            }
            emit(event);
            return;
        };
        let held = self.held.entry((document, section)).or_default();
        held.text.push_str(&text);
        held.tokens.extend(tokens);
        held.words = words;
        held.settled = settled;
        if held
            .reported
            .is_none_or(|reported| reported.elapsed() >= self.interval)
        {
            self.release(document, section, emit);
        }
    }

    fn release(&mut self, document: DocumentId, section: usize, emit: &mut dyn FnMut(Event)) {
        let Some(held) = self.held.get_mut(&(document, section)) else {
            return;
        };
        if held.tokens.is_empty() {
            return;
        }
        held.reported = Some(Instant::now());
        emit(Event::Text {
            document,
            section,
            text: std::mem::take(&mut held.text),
            tokens: std::mem::take(&mut held.tokens),
            words: held.words,
            settled: held.settled,
        });
    }
}
