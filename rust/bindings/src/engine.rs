//! `Engine`: a worker thread on one backend, as Python sees it.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use longwriter_llama::abi::StructLayout;
use longwriter_llama::api::FoundFunction;
use longwriter_llama::backend::{LlamaBackend, LlamaConfig};
use longwriter_scheduler::backend::{Backend, Limits, Token};
use longwriter_scheduler::engine::{Engine, Load, REPORT_INTERVAL};
use longwriter_scheduler::event::DocumentId;
use longwriter_scheduler::fake::{self, FakeBackend, InjectedFault, Script};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::document::PyDocument;
use crate::event::{PyEvent, PyLoad};
use crate::worker::{Command, Message, Worker};
use crate::{EngineClosed, LibraryMismatch};

/// How long a wait for the worker goes on before Python's signals are looked at.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// Most events handed over in one call.
const EVENTS_PER_CALL: usize = 256;

/// Name, offset and size of a struct's field.
type Field = (String, usize, usize);

/// A worker thread that writes documents on one context.
#[pyclass(name = "Engine", module = "longwriter_edge._core", frozen)]
pub(crate) struct PyEngine {
    limits: Limits,
    load: Arc<Mutex<Load>>,
    state: Mutex<State>,
}

struct State {
    /// `None` once the engine is closed, which tells the worker to end.
    channels: Option<(Sender<Command>, Receiver<Message>)>,
    /// `None` once the worker has ended.
    thread: Option<JoinHandle<()>>,
    /// Owns what the worker's addresses point to; dropped once the worker has ended.
    owner: Option<Py<PyAny>>,
    next_document: DocumentId,
    next_chain: usize,
}

#[pymethods]
impl PyEngine {
    /// An engine on an existing llama.cpp context.
    #[staticmethod]
    #[pyo3(signature = (*, functions, layouts, context, vocabulary, batch_tokens, prompt_chunk, sequences, cells, cells_per_sequence, shared_cells, stop, suppressed, owner))]
    // The Python signature is keyword-only; a struct in between would only repeat it.
    #[allow(clippy::too_many_arguments)]
    fn llama(
        py: Python<'_>,
        functions: BTreeMap<String, (usize, Vec<String>, String)>,
        layouts: BTreeMap<String, (usize, Vec<Field>)>,
        context: usize,
        vocabulary: usize,
        batch_tokens: u32,
        prompt_chunk: u32,
        sequences: u32,
        cells: u32,
        cells_per_sequence: u32,
        shared_cells: bool,
        stop: Vec<Token>,
        suppressed: Vec<Token>,
        owner: Py<PyAny>,
    ) -> PyResult<Self> {
        let functions = functions
            .into_iter()
            .map(|(name, (address, arguments, result))| {
                (
                    name,
                    FoundFunction {
                        address,
                        arguments,
                        result,
                    },
                )
            });
        let layouts = layouts
            .into_iter()
            .map(|(name, (size, fields))| (name, StructLayout { size, fields }));
        let limits = Limits {
            sequences,
            cells,
            cells_per_sequence,
            shared_cells,
            batch_tokens,
            prompt_chunk,
            outputs: sequences,
        };
        let config = LlamaConfig {
            functions: functions.collect(),
            layouts: layouts.collect(),
            context,
            vocabulary,
            limits,
            suppressed,
        };
        let backend = py
            .detach(|| LlamaBackend::new(config))
            .map_err(|error| LibraryMismatch::new_err(error.to_string()))?;
        Self::start(backend, stop, REPORT_INTERVAL, Some(owner))
    }

    /// An engine on the fake backend, for tests. Text is reported without delay.
    #[staticmethod]
    #[pyo3(signature = (*, answers = Vec::new(), faults = Vec::new(), batch_tokens = 64, prompt_chunk = 64, sequences = 4, cells = 65536, cells_per_sequence = 65536, shared_cells = true, step_seconds = 0.0))]
    // The Python signature is keyword-only; a struct in between would only repeat it.
    #[allow(clippy::too_many_arguments)]
    fn fake(
        answers: Vec<(String, String)>,
        faults: Vec<(usize, String)>,
        batch_tokens: u32,
        prompt_chunk: u32,
        sequences: u32,
        cells: u32,
        cells_per_sequence: u32,
        shared_cells: bool,
        step_seconds: f64,
    ) -> PyResult<Self> {
        let faults = faults
            .into_iter()
            .map(|(call, name)| match InjectedFault::from_name(&name) {
                Some(fault) => Ok((call, fault)),
                None => Err(PyValueError::new_err(format!(
                    "there is no fault named {name:?}"
                ))),
            })
            .collect::<PyResult<_>>()?;
        let step_time = Duration::try_from_secs_f64(step_seconds)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let limits = Limits {
            sequences,
            cells,
            cells_per_sequence,
            shared_cells,
            batch_tokens,
            prompt_chunk,
            outputs: sequences,
        };
        let backend = FakeBackend::new(
            limits,
            Script {
                answers,
                faults,
                step_time,
            },
        );
        Self::start(backend, vec![fake::END], Duration::ZERO, None)
    }

    /// Queues a document and returns its number.
    fn add(&self, document: &PyDocument) -> PyResult<DocumentId> {
        document
            .spec
            .validate(&self.limits)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let mut state = self.state();
        if document.spec.chain >= state.next_chain {
            let message = format!("there is no sampler chain {}", document.spec.chain);
            return Err(PyValueError::new_err(message));
        }
        let number = state.next_document;
        state.send(Command::Add(number, Box::new(document.spec.clone())))?;
        state.next_document += 1;
        Ok(number)
    }

    /// Makes a sampler chain known and returns its number for documents.
    fn add_chain(&self, chain: usize, grammar: usize) -> PyResult<usize> {
        if chain == 0 {
            return Err(PyValueError::new_err("the address of the chain is null"));
        }
        let mut state = self.state();
        state.send(Command::AddChain(chain, grammar))?;
        // The worker takes commands in order, so it counts as here.
        state.next_chain += 1;
        Ok(state.next_chain - 1)
    }

    /// Ends a document early; its last event says so.
    fn cancel(&self, document: DocumentId) -> PyResult<()> {
        self.state().send(Command::Cancel(document))
    }

    /// What was done so far, over all documents.
    fn load(&self) -> PyLoad {
        (*self.load.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }

    /// Events that are there, waiting up to `timeout` seconds for the first.
    fn events(&self, py: Python<'_>, timeout: f64) -> PyResult<Vec<PyEvent>> {
        let timeout = Duration::try_from_secs_f64(timeout)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let deadline = Instant::now() + timeout;
        loop {
            let wait = deadline
                .saturating_duration_since(Instant::now())
                .min(SIGNAL_INTERVAL);
            let messages = py.detach(|| self.state().take(wait))?;
            if !messages.is_empty() || Instant::now() >= deadline {
                return messages
                    .into_iter()
                    .map(|message| convert(py, message))
                    .collect();
            }
            py.check_signals()?;
        }
    }

    /// Stops the worker and waits for it. Idempotent.
    ///
    /// If a signal interrupts the wait, the worker still ends; what it uses must stay until a later
    /// call returns.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.state().channels = None;
        while self
            .state()
            .thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
        {
            py.check_signals()?;
            py.detach(|| thread::sleep(Duration::from_millis(2)));
        }
        let mut state = self.state();
        state.thread = None;
        let owner = state.owner.take();
        // Dropping it runs Python code, which may come back here.
        drop(state);
        drop(owner);
        Ok(())
    }
}

impl PyEngine {
    fn start<B>(
        backend: B,
        stop: Vec<Token>,
        report_interval: Duration,
        owner: Option<Py<PyAny>>,
    ) -> PyResult<Self>
    where
        B: Backend + Send + 'static,
        B::Sampler: Send,
    {
        let limits = backend.limits();
        if limits.sequences == 0 || limits.batch_tokens < limits.sequences {
            let message = format!(
                "a batch of {} tokens cannot hold one token of each of {} sequences",
                limits.batch_tokens, limits.sequences
            );
            return Err(PyValueError::new_err(message));
        }
        let worker = Worker::start(Engine::new(backend, stop, report_interval))?;
        let state = State {
            channels: Some((worker.commands, worker.messages)),
            thread: Some(worker.thread),
            owner,
            next_document: 0,
            next_chain: 0,
        };
        Ok(Self {
            limits,
            load: worker.load,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock, and a poisoned state is still consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn send(&self, command: Command) -> PyResult<()> {
        let (commands, _) = self.channels.as_ref().ok_or_else(closed)?;
        commands.send(command).map_err(|_| closed())
    }

    /// Messages that are there, waiting for the first.
    fn take(&self, wait: Duration) -> PyResult<Vec<Message>> {
        let (_, messages) = self.channels.as_ref().ok_or_else(closed)?;
        match messages.recv_timeout(wait) {
            Ok(first) => {
                let more = messages.try_iter().take(EVENTS_PER_CALL - 1);
                Ok(std::iter::once(first).chain(more).collect())
            }
            Err(RecvTimeoutError::Timeout) => Ok(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => Err(closed()),
        }
    }
}

impl Drop for PyEngine {
    fn drop(&mut self) {
        let mut state = self.state();
        state.channels = None;
        let Some(thread) = state.thread.take() else {
            return;
        };
        drop(state);
        let join = || {
            // A panic of the worker was its last message.
            let _ = thread.join();
        };
        // Python drops this while attached; other threads shall run while the last step ends. While the
        // interpreter shuts down nothing can be waited for.
        let _ = Python::try_attach(|py| py.detach(join));
    }
}

fn closed() -> PyErr {
    EngineClosed::new_err("the engine is closed")
}

fn convert(py: Python<'_>, message: Message) -> PyResult<PyEvent> {
    match message {
        Message::Event(event) => PyEvent::new(py, event),
        Message::Failed(message) => Ok(PyEvent::EngineFailed { message }),
    }
}
