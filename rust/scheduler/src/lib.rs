//! Writes long documents section by section on any [`Backend`](backend::Backend).
//!
//! The crate is pure: it touches no FFI, no files and no Python. [`scheduler`] decides what runs in
//! each step as two calls, `schedule()` and `apply()`, without a clock, a thread or global
//! randomness; [`engine`] is the loop that carries the decisions out; [`fake`] is a deterministic
//! backend with fault injection for tests.
//!
//! The way of a token: `schedule()` lists rows, the backend evaluates them, the engine draws a
//! token per output row ([`random`]), `apply()` appends it to the document's [`transcript`] and to the
//! section's [`text`], and [`event`]s tell the outside.

#![forbid(unsafe_code)]

pub mod backend;
pub mod document;
mod draft;
pub mod engine;
pub mod event;
pub mod exits;
pub mod fake;
pub mod length;
pub mod plan;
pub mod random;
pub mod scheduler;
pub mod slots;
mod strand;
pub mod text;
pub mod transcript;
pub mod words;
mod writing;
