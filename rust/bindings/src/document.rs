//! `Step` and `Document`: what Python asks the engine to write.

use std::sync::Arc;

use longwriter_scheduler::backend::Token;
use longwriter_scheduler::document::{DocumentSpec, Layout, SectionSpec};
use longwriter_scheduler::text::Surroundings;
use pyo3::exceptions::PyValueError;
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
    #[pyo3(signature = (*, open, title, floor_words, max_tokens, open_first = Vec::new(), target_words = 0, ceiling_words = 0, written = Vec::new(), finished = false))]
    // The Python signature is keyword-only; a struct in between would only repeat it.
    #[allow(clippy::too_many_arguments)]
    fn new(
        open: Vec<Token>,
        title: String,
        floor_words: u32,
        max_tokens: u32,
        open_first: Vec<Token>,
        target_words: u32,
        ceiling_words: u32,
        written: Vec<Token>,
        finished: bool,
    ) -> Self {
        Self {
            title,
            spec: SectionSpec {
                open,
                open_first,
                floor_words,
                target_words,
                ceiling_words,
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
    #[pyo3(signature = (*, prefix, steps, layout, echoes, chain, seed, stream, separators = Vec::new(), window = None, attempt = 0, filter_text = true, rebalance = false))]
    // The Python signature is keyword-only; a struct in between would only repeat it.
    #[allow(clippy::too_many_arguments)]
    fn new(
        prefix: Vec<Token>,
        steps: Vec<PyRef<'_, PyStep>>,
        layout: &str,
        echoes: Vec<String>,
        chain: usize,
        seed: u64,
        stream: u32,
        separators: Vec<Vec<Token>>,
        window: Option<u32>,
        attempt: u16,
        filter_text: bool,
        rebalance: bool,
    ) -> PyResult<Self> {
        let surroundings = Surroundings {
            titles: steps.iter().map(|step| step.title.clone()).collect(),
            echoes,
            enabled: filter_text,
        };
        let spec = DocumentSpec {
            prefix,
            sections: steps.iter().map(|step| step.spec.clone()).collect(),
            layout: parse_layout(layout, separators)?,
            window,
            rebalance,
            surroundings: Arc::new(surroundings),
            chain,
            seed,
            stream,
            attempt,
        };
        Ok(Self { spec })
    }

    /// KV cells that the document needs at most.
    #[getter]
    fn reserve(&self) -> u64 {
        self.spec.reserve()
    }

    /// The smallest window that it can be written in.
    #[getter]
    fn least_window(&self) -> u64 {
        self.spec.least_window()
    }
}

/// The layout of this name with its separators: one for `paper`, three for `guided`, none for the others.
fn parse_layout(name: &str, separators: Vec<Vec<Token>>) -> PyResult<Layout> {
    let count = separators.len();
    let mut separators = separators.into_iter();
    let mut next = || separators.next().unwrap_or_default();
    match (name, count) {
        ("turns", 0) => Ok(Layout::Turns),
        ("parallel", 0) => Ok(Layout::Parallel),
        ("paper", 1) => Ok(Layout::Paper { separator: next() }),
        ("guided", 3) => Ok(Layout::Guided {
            leads: [next(), next(), next()],
        }),
        _ => Err(PyValueError::new_err(format!(
            "there is no layout {name:?} with {count} separators"
        ))),
    }
}
