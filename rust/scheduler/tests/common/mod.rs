//! Documents and a recorder for tests on the fake backend.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use longwriter_scheduler::backend::{Limits, Token};
use longwriter_scheduler::document::{DocumentSpec, Layout, SectionSpec};
use longwriter_scheduler::engine::Engine;
use longwriter_scheduler::event::{Cause, DocumentId, EndReason, Event, Fault, Usage};
use longwriter_scheduler::fake::{ASSISTANT, END, FakeBackend, Script, USER};
use longwriter_scheduler::text::Surroundings;

/// The tokens of a text in the fake's vocabulary.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    text.bytes().map(Token::from).collect()
}

/// What is read before a section: the end of the last turn, the user's turn, the assistant's opening.
pub(crate) fn open(step: &str) -> Vec<Token> {
    [vec![USER], tokens(step), vec![ASSISTANT]].concat()
}

/// A section that is asked for by `step`.
pub(crate) fn section(step: &str, max_tokens: u32) -> SectionSpec {
    SectionSpec {
        open: open(step),
        max_tokens,
        ..SectionSpec::default()
    }
}

/// A document with sections titled "Title 0", "Title 1", ...
pub(crate) fn document(layout: Layout, sections: Vec<SectionSpec>) -> DocumentSpec {
    let surroundings = Surroundings {
        titles: (0..sections.len())
            .map(|number| format!("Title {number}"))
            .collect(),
        echoes: Vec::new(),
        enabled: true,
    };
    DocumentSpec {
        prefix: tokens("Write about the sea."),
        sections,
        layout,
        window: None,
        rebalance: false,
        surroundings: Arc::new(surroundings),
        chain: 0,
        seed: 11,
        stream: 0,
        attempt: 0,
    }
}

pub(crate) fn paper() -> Layout {
    Layout::Paper {
        separator: tokens("\n\n"),
    }
}

pub(crate) fn limits(sequences: u32, cells: u32, batch_tokens: u32) -> Limits {
    Limits {
        sequences,
        cells,
        cells_per_sequence: cells,
        shared_cells: true,
        batch_tokens,
        prompt_chunk: batch_tokens,
        outputs: sequences,
    }
}

pub(crate) fn answers(pairs: &[(&str, &str)]) -> Script {
    let owned = |(needle, answer): &(&str, &str)| ((*needle).to_owned(), (*answer).to_owned());
    Script {
        answers: pairs.iter().map(owned).collect(),
        ..Script::default()
    }
}

pub(crate) fn engine(limits: Limits, script: Script) -> Engine<FakeBackend> {
    Engine::new(FakeBackend::new(limits, script), vec![END], Duration::ZERO)
}

/// One section as its events told it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) started: usize,
    pub(crate) ended: Vec<EndReason>,
    /// Why text was taken back, each time.
    pub(crate) rewound: Vec<Cause>,
    pub(crate) unfinished: bool,
    /// Characters that could not be taken back at the last event.
    pub(crate) settled: usize,
}

/// Everything that the events told of one document.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub(crate) sections: BTreeMap<usize, Told>,
    pub(crate) order: Vec<usize>,
    /// Tokens kept and dropped each time the text outgrew its window.
    pub(crate) compacted: Vec<(usize, usize)>,
    pub(crate) ends: Vec<Option<Fault>>,
    pub(crate) usage: Usage,
}

impl Record {
    pub(crate) fn texts(&self) -> Vec<&str> {
        self.sections
            .values()
            .map(|section| section.text.as_str())
            .collect()
    }
}

/// The records of all documents.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) documents: BTreeMap<DocumentId, Record>,
}

impl Recorder {
    pub(crate) fn take(&mut self, event: Event) {
        let record = self.documents.entry(event.document()).or_default();
        match event {
            Event::Prefill { done, total, .. } => assert!(done <= total, "{done} of {total}"),
            Event::Compacted { kept, dropped, .. } => record.compacted.push((kept, dropped)),
            Event::SectionStarted { section, text, .. } => {
                let told = record.sections.entry(section).or_default();
                told.started += 1;
                told.text.push_str(&text);
            }
            Event::Text {
                section,
                text,
                tokens,
                settled,
                ..
            } => {
                let told = record.sections.entry(section).or_default();
                told.text.push_str(&text);
                told.tokens.extend(tokens);
                told.settled = settled;
            }
            Event::Rewound {
                section,
                cause,
                text_kept,
                tokens,
                ..
            } => {
                let told = record.sections.entry(section).or_default();
                assert!(text_kept >= told.settled, "settled text was taken back");
                told.text = told.text.chars().take(text_kept).collect();
                told.tokens.extend(tokens);
                told.rewound.push(cause);
            }
            Event::SectionEnded {
                section,
                text,
                tokens,
                kept,
                reason,
                unfinished,
                ..
            } => {
                let told = record.sections.entry(section).or_default();
                told.text.push_str(&text);
                told.tokens.extend(tokens);
                told.tokens = kept;
                told.unfinished = unfinished;
                told.ended.push(reason);
                record.order.push(section);
            }
            Event::DocumentEnded { fault, usage, .. } => {
                record.ends.push(fault);
                record.usage = usage;
            }
        }
    }
}

/// Runs until nothing is left to do, checking the scheduler after every step.
pub(crate) fn run(engine: &mut Engine<FakeBackend>, recorder: &mut Recorder) {
    for _ in 0..100_000 {
        if engine.is_idle() {
            return;
        }
        engine.step(&mut |event| recorder.take(event));
        engine.scheduler().check_integrity().unwrap();
    }
    panic!("the engine does not come to an end");
}

/// The record of one document that is written alone.
pub(crate) fn write(spec: DocumentSpec, script: Script) -> Record {
    let mut engine = engine(limits(1, 1 << 20, 32), script);
    engine.add(0, spec).unwrap();
    let mut recorder = Recorder::default();
    run(&mut engine, &mut recorder);
    recorder.documents.remove(&0).unwrap()
}
