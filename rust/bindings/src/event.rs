//! `Event` and `Usage`: what the engine reports, as Python objects.

use longwriter_scheduler::backend::Token;
use longwriter_scheduler::engine::Load;
use longwriter_scheduler::event::{DocumentId, Event, Fault, Usage};
use pyo3::prelude::*;

/// Tokens and seconds that a document took.
#[pyclass(name = "Usage", module = "longwriter_edge._core", frozen, get_all)]
#[derive(Clone)]
pub(crate) struct PyUsage {
    tokens_read: u64,
    tokens_reread: u64,
    tokens_reused: u64,
    tokens_written: u64,
    prefill_seconds: f64,
    decode_seconds: f64,
    sampling_seconds: f64,
    other_seconds: f64,
}

impl From<Usage> for PyUsage {
    fn from(usage: Usage) -> Self {
        Self {
            tokens_read: usage.tokens_read,
            tokens_reread: usage.tokens_reread,
            tokens_reused: usage.tokens_reused,
            tokens_written: usage.tokens_written,
            prefill_seconds: usage.prefill_seconds,
            decode_seconds: usage.decode_seconds,
            sampling_seconds: usage.sampling_seconds,
            other_seconds: usage.other_seconds,
        }
    }
}

/// What an engine has done since it was made.
#[pyclass(name = "Load", module = "longwriter_edge._core", frozen, get_all)]
#[derive(Clone)]
pub(crate) struct PyLoad {
    steps: u64,
    rows: u64,
    step_seconds: f64,
    sequence_seconds: f64,
}

impl From<Load> for PyLoad {
    fn from(load: Load) -> Self {
        Self {
            steps: load.steps,
            rows: load.rows,
            step_seconds: load.step_seconds,
            sequence_seconds: load.sequence_seconds,
        }
    }
}

/// What the engine reports.
#[pyclass(name = "Event", module = "longwriter_edge._core", frozen)]
pub(crate) enum PyEvent {
    Prefill {
        document: DocumentId,
        section: usize,
        done: usize,
        total: usize,
    },
    SectionStarted {
        document: DocumentId,
        section: usize,
        text: String,
        words: u32,
        settled: usize,
    },
    Text {
        document: DocumentId,
        section: usize,
        text: String,
        tokens: Vec<Token>,
        words: u32,
        settled: usize,
    },
    Rewound {
        document: DocumentId,
        section: usize,
        cause: String,
        text_kept: usize,
        tokens: Vec<Token>,
        words: u32,
    },
    Compacted {
        document: DocumentId,
        section: usize,
        kept: usize,
        dropped: usize,
    },
    SectionEnded {
        document: DocumentId,
        section: usize,
        text: String,
        tokens: Vec<Token>,
        kept: Vec<Token>,
        reason: String,
        words: u32,
        unfinished: bool,
    },
    DocumentEnded {
        document: DocumentId,
        fault: Option<String>,
        message: String,
        usage: Py<PyUsage>,
    },
    EngineFailed {
        message: String,
    },
}

impl PyEvent {
    /// The Python form of an engine event.
    pub(crate) fn new(py: Python<'_>, event: Event) -> PyResult<Self> {
        Ok(match event {
            Event::Prefill {
                document,
                section,
                done,
                total,
            } => Self::Prefill {
                document,
                section,
                done,
                total,
            },
            Event::SectionStarted {
                document,
                section,
                text,
                words,
                settled,
            } => Self::SectionStarted {
                document,
                section,
                text,
                words,
                settled,
            },
            Event::Text {
                document,
                section,
                text,
                tokens,
                words,
                settled,
            } => Self::Text {
                document,
                section,
                text,
                tokens,
                words,
                settled,
            },
            Event::Rewound {
                document,
                section,
                cause,
                text_kept,
                tokens,
                words,
            } => Self::Rewound {
                document,
                section,
                cause: cause.name().to_owned(),
                text_kept,
                tokens,
                words,
            },
            Event::Compacted {
                document,
                section,
                kept,
                dropped,
            } => Self::Compacted {
                document,
                section,
                kept,
                dropped,
            },
            Event::SectionEnded {
                document,
                section,
                text,
                tokens,
                kept,
                reason,
                words,
                unfinished,
            } => {
                let reason = reason.name().to_owned();
                Self::SectionEnded {
                    document,
                    section,
                    text,
                    tokens,
                    kept,
                    reason,
                    words,
                    unfinished,
                }
            }
            Event::DocumentEnded {
                document,
                fault,
                usage,
            } => Self::DocumentEnded {
                document,
                message: fault.as_ref().map_or_else(String::new, Fault::message),
                fault: fault.as_ref().map(|fault| fault.name().to_owned()),
                usage: Py::new(py, PyUsage::from(usage))?,
            },
        })
    }
}
