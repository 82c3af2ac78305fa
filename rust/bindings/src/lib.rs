//! The Python extension module `longwriter_edge._core`: convert, call, convert.
//!
//! Configuration goes in, events come out. The worker thread never takes the GIL.

mod document;
mod engine;
mod event;
mod plan;
mod worker;

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

create_exception!(
    longwriter_edge._core,
    EngineClosed,
    PyException,
    "The engine was closed, or its worker has ended."
);
create_exception!(
    longwriter_edge._core,
    LibraryMismatch,
    PyException,
    "The loaded llama.cpp does not have the functions or layouts that this module was built for."
);

/// Name, argument kinds and result kind of each llama.cpp function that the engine calls.
#[pyfunction]
fn required_functions() -> Vec<(&'static str, Vec<&'static str>, &'static str)> {
    longwriter_llama::api::REQUIRED
        .iter()
        .map(|spec| (spec.name, spec.arguments.to_vec(), spec.result))
        .collect()
}

/// Address of a native `ggml_log_callback` that keeps the last lines without taking the GIL.
#[pyfunction]
fn log_callback_address() -> usize {
    longwriter_llama::log::callback_address()
}

/// Level (ggml_log_level) and text of the lines kept since the last call.
#[pyfunction]
fn take_log() -> Vec<(i32, String)> {
    longwriter_llama::log::take()
}

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::document::{PyDocument, PyStep};
    #[pymodule_export]
    use super::engine::PyEngine;
    #[pymodule_export]
    use super::event::{PyEvent, PyLoad, PyUsage};
    #[pymodule_export]
    use super::plan::{PyPlan, PyPlanSection, PyWords, count_words, plan_grammar};
    #[pymodule_export]
    use super::{
        EngineClosed, LibraryMismatch, log_callback_address, required_functions, take_log,
    };
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::worker::quiet_worker_panics();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
