//! The scheduler's backend on a llama.cpp library that somebody else has loaded.
//!
//! llama-cpp-python ships llama.cpp, built for the user's machine; there is no second copy. Python creates
//! model, context and sampler chains and hands over their addresses, and those of the few C functions
//! that are called here ([`api`]). The mirrored structs ([`abi`]) are compared with ctypes' own before
//! the first call.
//!
//! This is the only crate with unsafe code. All of it rests on one promise of the caller: model, context
//! and chains stay alive, and nobody else uses the context, while a [`backend::LlamaBackend`] exists.

#![deny(unsafe_op_in_unsafe_fn)]

pub mod abi;
pub mod api;
pub mod backend;
mod batch;
mod context;
pub mod log;
#[cfg(test)]
mod mock;
mod pieces;
mod sampler;
