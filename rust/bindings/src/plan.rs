//! `Plan`, `PlanSection`, `Words`: plans and word counts for Python.

use longwriter_scheduler::plan::{self, Language, Plan, PlanError, PlanSection};
use longwriter_scheduler::words;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Counts of a text.
#[pyclass(name = "Words", module = "longwriter_edge._core", frozen, get_all)]
#[derive(Clone)]
pub(crate) struct PyWords {
    reader: u32,
    benchmark: u32,
}

/// Counts the words of a text both ways.
#[pyfunction]
pub(crate) fn count_words(text: &str) -> PyWords {
    let counts = words::count(text);
    PyWords {
        reader: counts.reader,
        benchmark: counts.benchmark,
    }
}

/// One section of a plan.
#[pyclass(name = "PlanSection", module = "longwriter_edge._core", frozen)]
#[derive(Clone)]
pub(crate) struct PyPlanSection(PlanSection);

#[pymethods]
impl PyPlanSection {
    #[new]
    #[pyo3(signature = (title, point, words = None))]
    fn new(title: String, point: String, words: Option<u32>) -> Self {
        Self(PlanSection {
            title,
            point,
            words,
            repeats: None,
        })
    }

    #[getter]
    fn title(&self) -> &str {
        &self.0.title
    }

    #[getter]
    fn point(&self) -> &str {
        &self.0.point
    }

    #[getter]
    fn words(&self) -> Option<u32> {
        self.0.words
    }

    #[getter]
    fn repeats(&self) -> Option<usize> {
        self.0.repeats
    }
}

/// A plan that was checked.
#[pyclass(name = "Plan", module = "longwriter_edge._core", frozen)]
pub(crate) struct PyPlan(Plan);

#[pymethods]
impl PyPlan {
    #[new]
    fn new(title: String, sections: Vec<PyRef<'_, PyPlanSection>>) -> PyResult<Self> {
        let sections = sections.iter().map(|section| section.0.clone()).collect();
        Plan::new(title, sections).map(Self).map_err(value_error)
    }

    /// A plan from any format that people and models write.
    #[staticmethod]
    fn parse(py: Python<'_>, text: &str) -> PyResult<Self> {
        py.detach(|| Plan::parse(text))
            .map(Self)
            .map_err(value_error)
    }

    /// The same sections with targets that sum to `total`.
    fn rescaled(&self, total: u32) -> PyResult<Self> {
        self.0.rescaled(total).map(Self).map_err(value_error)
    }

    /// Our own format.
    fn to_markdown(&self) -> String {
        self.0.to_markdown()
    }

    /// One short line a section.
    fn outline_lines(&self, language: &str) -> PyResult<Vec<String>> {
        Ok(self.0.outline_lines(parse_language(language)?))
    }

    /// One line a section in LongWriter's format.
    fn step_lines(&self, language: &str) -> PyResult<Vec<String>> {
        Ok(self.0.step_lines(parse_language(language)?))
    }

    #[getter]
    fn title(&self) -> &str {
        &self.0.title
    }

    #[getter]
    fn sections(&self) -> Vec<PyPlanSection> {
        self.0.sections.iter().cloned().map(PyPlanSection).collect()
    }

    #[getter]
    fn notes(&self) -> Vec<String> {
        self.0.notes.clone()
    }
}

/// GBNF of a generated plan.
#[pyfunction]
pub(crate) fn plan_grammar(fewest: usize, most: usize, language: &str) -> PyResult<String> {
    if fewest == 0 || fewest > most || most > plan::MAX_SECTIONS {
        let message = format!(
            "a plan has 1 to {} sections, not {fewest} to {most}",
            plan::MAX_SECTIONS
        );
        return Err(PyValueError::new_err(message));
    }
    Ok(plan::grammar(fewest, most, parse_language(language)?))
}

fn parse_language(code: &str) -> PyResult<Language> {
    match code {
        "en" => Ok(Language::English),
        "zh" => Ok(Language::Chinese),
        other => Err(PyValueError::new_err(format!(
            "the language is \"en\" or \"zh\", not {other:?}"
        ))),
    }
}

fn value_error(error: PlanError) -> PyErr {
    PyValueError::new_err(error.to_string())
}
