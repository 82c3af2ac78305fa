//! One document on its way: which of its strands writes which section.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::backend::{SequenceId, Token, Vocabulary};
use crate::document::{DocumentSpec, Layout};
use crate::event::{DocumentId, Event, Usage};
use crate::strand::Strand;

/// The state of one document.
#[derive(Debug)]
pub(crate) struct Draft {
    id: DocumentId,
    spec: Arc<DocumentSpec>,
    /// Sections that no strand has begun, in order.
    waiting: VecDeque<usize>,
    /// The strands at work. The first one read the prefix.
    strands: Vec<Strand>,
    /// What the strands that are gone took.
    usage: Usage,
}

impl Draft {
    /// A document ready to run, and the events of what an earlier process had already written.
    pub(crate) fn new(
        id: DocumentId,
        spec: DocumentSpec,
        vocabulary: &impl Vocabulary,
    ) -> (Self, Vec<Event>) {
        let parallel = spec.layout == Layout::Parallel;
        let sections = spec.sections.iter().enumerate();
        let waiting = sections
            .filter(|(_, section)| !(parallel && section.finished))
            .map(|(number, _)| number)
            .collect();
        let spec = Arc::new(spec);
        let mut draft = Self {
            id,
            strands: vec![Strand::new(id, Arc::clone(&spec))],
            spec,
            waiting,
            usage: Usage::default(),
        };
        let mut events = Vec::new();
        draft.go_on(0, vocabulary, &mut events);
        (draft, events)
    }

    pub(crate) fn spec(&self) -> &DocumentSpec {
        &self.spec
    }

    /// The strands at work, the first one first.
    pub(crate) fn strands(&self) -> &[Strand] {
        &self.strands
    }

    pub(crate) fn strands_mut(&mut self) -> &mut [Strand] {
        &mut self.strands
    }

    pub(crate) fn strand(&self, sequence: SequenceId) -> Option<&Strand> {
        let strands = &mut self.strands.iter();
        strands.find(|strand| strand.sequence == Some(sequence))
    }

    pub(crate) fn strand_mut(&mut self, sequence: SequenceId) -> Option<&mut Strand> {
        let strands = &mut self.strands.iter_mut();
        strands.find(|strand| strand.sequence == Some(sequence))
    }

    /// What the document has taken so far.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = self.usage;
        for strand in &self.strands {
            usage += strand.usage();
        }
        usage
    }

    /// Whether every section has ended.
    pub(crate) fn is_complete(&self) -> bool {
        self.strands.is_empty()
    }

    /// The section that one more strand could begin now.
    pub(crate) fn next_fork(&self) -> Option<usize> {
        let first = self.strands.first()?;
        let prefix_read = first.transcript().cached() >= self.spec.prefix.len();
        let next = self.waiting.front().copied();
        next.filter(|_| prefix_read && self.spec.layout == Layout::Parallel)
    }

    /// The sequence that holds the prefix.
    pub(crate) fn first_sequence(&self) -> Option<SequenceId> {
        self.strands.first()?.sequence
    }

    /// Begins one more strand on the next section; see [`Draft::next_fork`]. Returns whether it has something to
    /// write, and so needs its sequence.
    pub(crate) fn fork(
        &mut self,
        sequence: SequenceId,
        shared: bool,
        vocabulary: &impl Vocabulary,
        events: &mut Vec<Event>,
    ) -> bool {
        let Some(section) = self.waiting.pop_front() else {
            return false;
        };
        let mut strand = Strand::fork(self.id, Arc::clone(&self.spec), shared);
        strand.sequence = Some(sequence);
        strand.begin(section, vocabulary, events);
        let writes = strand.section().is_some();
        if writes {
            self.strands.push(strand);
        } else {
            self.usage += strand.usage();
        }
        writes
    }

    /// Adds a sampled token, or `None` for the end of a turn, to the section that `sequence` writes. Returns
    /// whether the strand has ended, and with it the need for its sequence.
    pub(crate) fn take(
        &mut self,
        sequence: SequenceId,
        token: Option<Token>,
        vocabulary: &impl Vocabulary,
        events: &mut Vec<Event>,
    ) -> bool {
        let strands = &mut self.strands.iter();
        let Some(index) = strands.position(|strand| strand.sequence == Some(sequence)) else {
            return false;
        };
        match token {
            Some(token) => self.strands[index].accept(token, vocabulary, events),
            None => self.strands[index].end_turn(vocabulary, events),
        }
        self.go_on(index, vocabulary, events)
    }

    /// Lets a strand begin its next section, if its last one has ended. Returns whether the strand has ended.
    fn go_on(
        &mut self,
        index: usize,
        vocabulary: &impl Vocabulary,
        events: &mut Vec<Event>,
    ) -> bool {
        let parallel = self.spec.layout == Layout::Parallel;
        while self.strands[index].section().is_none() {
            // In parallel the others come and go, so that no document keeps more sequences than its share.
            let next = if parallel && index > 0 {
                None
            } else {
                self.waiting.pop_front()
            };
            let Some(next) = next else {
                self.usage += self.strands.remove(index).usage();
                return true;
            };
            let strand = &mut self.strands[index];
            if parallel {
                strand.rewind_to_prefix();
            }
            strand.begin(next, vocabulary, events);
        }
        false
    }

    /// Checks what must hold between two steps.
    ///
    /// # Errors
    /// The broken rule, in words.
    pub(crate) fn check_integrity(&self) -> Result<(), String> {
        if self.strands.iter().any(|strand| strand.section().is_none()) {
            return Err(format!("document {}: a strand without a section", self.id));
        }
        if self.strands.is_empty() && !self.waiting.is_empty() {
            return Err(format!("document {}: sections without a strand", self.id));
        }
        Ok(())
    }
}
