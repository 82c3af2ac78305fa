//! One section's sampler: a clone of a chain, and of a grammar where there is one.

use std::ptr::NonNull;

use longwriter_scheduler::backend::Token;

use crate::abi::{TokenData, TokenDataArray};
use crate::api::{Api, Sampler};

/// Owns one `llama_sampler`.
#[derive(Debug)]
struct Owned {
    api: Api,
    sampler: NonNull<Sampler>,
}

impl Owned {
    /// A copy of `original`, or `None` if llama.cpp cannot make one.
    fn clone_of(api: Api, original: NonNull<Sampler>) -> Option<Self> {
        // SAFETY: the original is a sampler that its owner keeps alive while the backend exists.
        let sampler = unsafe { (api.llama_sampler_clone)(original.as_ptr()) };
        Some(Self {
            api,
            sampler: NonNull::new(sampler)?,
        })
    }

    fn accept(&mut self, token: Token) {
        // SAFETY: this object owns the sampler; it is alive until `drop`.
        unsafe { (self.api.llama_sampler_accept)(self.sampler.as_ptr(), token) };
    }

    fn apply(&mut self, candidates: &mut TokenDataArray) {
        // SAFETY: this object owns the sampler; the array's data has `size` entries that the caller
        // borrows exclusively for the call.
        unsafe { (self.api.llama_sampler_apply)(self.sampler.as_ptr(), candidates) };
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: this object owns the sampler and frees it once, here.
        unsafe { (self.api.llama_sampler_free)(self.sampler.as_ptr()) };
    }
}

/// The addresses of a chain and its grammar, both made and kept by Python.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Template {
    pub(crate) chain: NonNull<Sampler>,
    pub(crate) grammar: Option<NonNull<Sampler>>,
}

/// The state of sampling one section.
#[derive(Debug)]
pub struct SectionSampler {
    chain: Owned,
    grammar: Option<Owned>,
}

// SAFETY: a llama.cpp sampler has no thread affinity; this type owns its samplers and gives no other
// handle to them, so whoever holds it is alone with them.
unsafe impl Send for SectionSampler {}

impl SectionSampler {
    /// Clones a template. The chain has then seen `history`, oldest first; the grammar has not: it
    /// constrains the answer from its start. All of the history is accepted, since how far back a chain
    /// looks is its own business; its samplers keep a window and take each token in constant time.
    ///
    /// # Panics
    /// If llama.cpp has no memory for a clone; the worker turns that into an event.
    pub(crate) fn new(api: Api, template: Template, history: &[Token]) -> Self {
        let clone =
            |original| Owned::clone_of(api, original).expect("llama.cpp could not clone a sampler");
        let mut chain = clone(template.chain);
        for &token in history {
            chain.accept(token);
        }
        Self {
            chain,
            grammar: template.grammar.map(clone),
        }
    }

    pub(crate) fn apply_grammar(&mut self, candidates: &mut TokenDataArray) {
        if let Some(grammar) = &mut self.grammar {
            grammar.apply(candidates);
        }
    }

    pub(crate) fn apply_chain(&mut self, candidates: &mut TokenDataArray) {
        self.chain.apply(candidates);
    }

    /// Whether the grammar allows `token` next; true without a grammar.
    pub(crate) fn admits(&mut self, token: Token) -> bool {
        let Some(grammar) = &mut self.grammar else {
            return true;
        };
        let mut only = TokenData {
            id: token,
            logit: 1.0,
            p: 0.0,
        };
        let mut candidates = TokenDataArray {
            data: &raw mut only,
            size: 1,
            selected: -1,
            sorted: false,
        };
        grammar.apply(&mut candidates);
        candidates.size == 1 && only.logit > f32::NEG_INFINITY
    }

    /// Tells grammar and chain that `token` was chosen.
    ///
    /// # Panics
    /// If the grammar forbids it: llama.cpp would end the whole process, a panic only ends the worker.
    pub(crate) fn accept(&mut self, token: Token) {
        assert!(
            self.admits(token),
            "token {token} was chosen against the grammar"
        );
        if let Some(grammar) = &mut self.grammar {
            grammar.accept(token);
        }
        self.chain.accept(token);
    }
}
