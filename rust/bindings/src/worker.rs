//! The worker thread: runs an engine, takes commands, sends events through a bounded channel.
//!
//! It never needs the GIL. It ends when it is told to, when nobody can receive its events any
//! more, or when the engine panics, which becomes the last message.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use longwriter_scheduler::backend::Backend;
use longwriter_scheduler::document::DocumentSpec;
use longwriter_scheduler::engine::{Engine, Load};
use longwriter_scheduler::event::{DocumentId, Event};

/// Events that wait for Python before the worker has to. Text comes at most twenty times a second for
/// a document, so this is minutes of work.
const EVENTS_IN_FLIGHT: usize = 4096;

const THREAD_NAME: &str = "longwriter-engine";

/// What the worker is told.
pub(crate) enum Command {
    /// Write a document, which was checked before.
    Add(DocumentId, Box<DocumentSpec>),
    /// Make a sampler chain known: its handle, and its grammar's.
    AddChain(usize, usize),
    /// End a document early.
    Cancel(DocumentId),
}

/// What the worker tells.
pub(crate) enum Message {
    /// Something happened to a document.
    Event(Event),
    /// The worker panicked and is gone.
    Failed(String),
}

/// The ends of the worker that Python holds. Dropping the channels ends it.
pub(crate) struct Worker {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) messages: Receiver<Message>,
    /// What the engine has done, brought up to date after each step.
    pub(crate) load: Arc<Mutex<Load>>,
    pub(crate) thread: JoinHandle<()>,
}

impl Worker {
    /// Starts a worker on `engine`.
    pub(crate) fn start<B>(engine: Engine<B>) -> std::io::Result<Self>
    where
        B: Backend + Send + 'static,
        B::Sampler: Send,
    {
        let (commands, inbox) = mpsc::channel();
        let (outbox, messages) = mpsc::sync_channel(EVENTS_IN_FLIGHT);
        let load = Arc::new(Mutex::new(Load::default()));
        let told = Arc::clone(&load);
        let thread = thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || {
                // The engine is dropped with the closure whatever happens, so nothing sees it broken.
                let run = AssertUnwindSafe(|| run(engine, &inbox, &outbox, &told));
                if let Err(panic) = panic::catch_unwind(run) {
                    // If nobody listens any more, nobody wants to know.
                    let _ = outbox.send(Message::Failed(panic_message(panic.as_ref())));
                }
            })?;
        Ok(Self {
            commands,
            messages,
            load,
            thread,
        })
    }
}

/// Runs until one of the channels is closed.
fn run<B: Backend>(
    mut engine: Engine<B>,
    inbox: &Receiver<Command>,
    outbox: &SyncSender<Message>,
    load: &Mutex<Load>,
) {
    let mut listening = true;
    while listening {
        let command = if engine.is_idle() {
            inbox.recv().map_err(|_| TryRecvError::Disconnected)
        } else {
            inbox.try_recv()
        };
        let mut emit = |event| listening &= outbox.send(Message::Event(event)).is_ok();
        match command {
            Ok(Command::Add(document, spec)) => {
                // Python's side checked the document against the same limits.
                if let Err(error) = engine.add(document, *spec) {
                    panic!("document {document}: {error}");
                }
            }
            Ok(Command::AddChain(chain, grammar)) => {
                engine.add_chain(chain, grammar);
            }
            Ok(Command::Cancel(document)) => engine.cancel(document, &mut emit),
            Err(TryRecvError::Empty) => {
                engine.step(&mut emit);
                *load.lock().unwrap_or_else(PoisonError::into_inner) = engine.load();
            }
            Err(TryRecvError::Disconnected) => return,
        }
    }
}

/// Keeps the panics of workers, which become events, from being printed into the user's terminal.
pub(crate) fn quiet_worker_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().name() != Some(THREAD_NAME) {
            print(info);
        }
    }));
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the engine panicked".to_owned())
}
