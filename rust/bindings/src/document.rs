//! `Step` and `Document`: what Python asks the engine to write.

use std::sync::Arc;

use longwriter_scheduler::backend::Token;
use longwriter_scheduler::document::{DocumentSpec, Layout, SectionSpec};
use longwriter_scheduler::text::Surroundings;
use pyo3::prelude::*;

/// One section to write.
#[pyclass(name = "Step", module = "longwriter_edge._core", frozen)]
#[derive(Clone)]
pub(crate) struct PyStep {
    title: String,
    spec: SectionSpec,
}

#[pymethods]
impl PyStep {
    #[new]
    #[pyo3(signature = (*, open, title, floor_words, max_tokens, written = Vec::new(), finished = false))]
    fn new(
        open: Vec<Token>,
        title: String,
        floor_words: u32,
        max_tokens: u32,
        written: Vec<Token>,
        finished: bool,
    ) -> Self {
        Self {
            title,
            spec: SectionSpec {
                open,
                floor_words,
                max_tokens,
                written,
                finished,
            },
        }
    }
}

/// A document to write.
#[pyclass(name = "Document", module = "longwriter_edge._core", frozen)]
pub(crate) struct PyDocument {
    pub(crate) spec: DocumentSpec,
}

#[pymethods]
impl PyDocument {
    #[new]
    #[pyo3(signature = (*, prefix, steps, separator, echoes, chain, seed, stream, attempt = 0, filter_text = true))]
    // The Python signature is keyword-only; a struct in between would only repeat it.
    #[allow(clippy::too_many_arguments)]
    fn new(
        prefix: Vec<Token>,
        steps: Vec<PyRef<'_, PyStep>>,
        separator: Option<Vec<Token>>,
        echoes: Vec<String>,
        chain: usize,
        seed: u64,
        stream: u32,
        attempt: u16,
        filter_text: bool,
    ) -> Self {
        let surroundings = Surroundings {
            titles: steps.iter().map(|step| step.title.clone()).collect(),
            echoes,
            enabled: filter_text,
        };
        let spec = DocumentSpec {
            prefix,
            sections: steps.iter().map(|step| step.spec.clone()).collect(),
            layout: separator.map_or(Layout::Turns, |separator| Layout::Paper { separator }),
            surroundings: Arc::new(surroundings),
            chain,
            seed,
            stream,
            attempt,
        };
        Self { spec }
    }

    /// KV cells that the document needs at most.
    #[getter]
    fn reserve(&self) -> u64 {
        self.spec.reserve()
    }
}
