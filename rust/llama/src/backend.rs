//! [`LlamaBackend`]: the scheduler's backend on llama.cpp.

use std::collections::BTreeMap;
use std::ptr::NonNull;

use longwriter_scheduler::backend::{
    Backend, Candidate, Constraint, DecodeError, Limits, Row, SampleError, SequenceId, Token,
    Vocabulary,
};

use crate::abi::{StructLayout, TokenData, TokenDataArray, check_layouts};
use crate::api::{Api, FoundFunction, LibraryMismatch};
use crate::context::DecodeContext;
use crate::pieces::Pieces;
use crate::sampler::{SectionSampler, Template};

/// `LLAMA_MAX_SEQ` in llama.cpp's llama-cparams.h; it aborts on questions about a sequence beyond.
const MOST_SEQUENCES: u32 = 256;

/// What Python hands over.
///
/// All addresses stay valid, and nobody else uses the context, while the backend exists: whoever builds
/// this keeps their owner alive for as long.
#[derive(Debug)]
pub struct LlamaConfig {
    /// The functions of [`crate::api::REQUIRED`], by name.
    pub functions: BTreeMap<String, FoundFunction>,
    /// The structs of [`crate::abi::expected_layouts`], as ctypes declares them.
    pub layouts: BTreeMap<String, StructLayout>,
    /// Address of the `llama_context`.
    pub context: usize,
    /// Address of the `llama_vocab`.
    pub vocabulary: usize,
    /// The context's sizes, as read back from it.
    pub limits: Limits,
    /// Tokens that are never offered.
    pub suppressed: Vec<Token>,
}

/// llama.cpp as the scheduler sees it.
#[derive(Debug)]
pub struct LlamaBackend {
    api: Api,
    context: DecodeContext,
    pieces: Pieces,
    templates: Vec<Template>,
    suppressed: Vec<Token>,
    /// Room for one candidate for each token, reused.
    data: Vec<TokenData>,
    candidates: Vec<Candidate>,
}

// SAFETY: a llama.cpp context may be used from any thread as long as it is one at a time; the backend is
// the context's only user (the promise of `LlamaConfig`) and is not shared, only moved.
unsafe impl Send for LlamaBackend {}

impl LlamaBackend {
    /// Checks what was handed over and reads the vocabulary.
    ///
    /// # Errors
    /// [`LibraryMismatch`] names the function, struct or value that cannot be used.
    pub fn new(config: LlamaConfig) -> Result<Self, LibraryMismatch> {
        check_layouts(&config.layouts)?;
        check_limits(config.limits)?;
        let api = Api::new(&config.functions)?;
        let vocab = address(config.vocabulary, "the vocabulary")?;
        let pieces = Pieces::read(api, vocab)?;
        let size = pieces.len();
        let context = address(config.context, "the context")?;
        let context = DecodeContext::new(api, context, config.limits, size)
            .ok_or_else(|| LibraryMismatch::Unusable("the context has no KV cache".to_owned()))?;
        let inside = |token: &Token| usize::try_from(*token).is_ok_and(|token| token < size);
        Ok(Self {
            api,
            context,
            pieces,
            templates: Vec::new(),
            suppressed: config.suppressed.into_iter().filter(inside).collect(),
            data: Vec::with_capacity(size),
            candidates: Vec::new(),
        })
    }

    /// Fills `data` with the logits of a row, entry `t` for token `t`.
    fn load_logits(&mut self, row: usize, banned: &[Token]) -> Result<(), SampleError> {
        let logits = self
            .context
            .logits(row)
            .ok_or(SampleError::NoLogits { row })?;
        self.data.clear();
        self.data.extend(
            (0..)
                .zip(logits)
                .map(|(id, &logit)| TokenData { id, logit, p: 0.0 }),
        );
        // NaN and infinity would send llama.cpp's sorting astray. All are looked at without a way out of the
        // loop, which the compiler turns into a few instructions for many logits at once.
        let is_bad = |logit: f32| logit.is_nan() || logit == f32::INFINITY;
        if logits.iter().fold(false, |bad, &logit| bad | is_bad(logit)) {
            let token = logits.iter().position(|&logit| is_bad(logit)).unwrap_or(0);
            return Err(SampleError::NotFinite {
                token: token as Token,
            });
        }
        for &token in self.suppressed.iter().chain(banned) {
            if let Some(data) = usize::try_from(token)
                .ok()
                .and_then(|at| self.data.get_mut(at))
            {
                data.logit = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }
}

impl Vocabulary for LlamaBackend {
    fn piece(&self, token: Token) -> &[u8] {
        self.pieces.get(token)
    }
}

impl Backend for LlamaBackend {
    type Sampler = SectionSampler;

    fn limits(&self) -> Limits {
        self.context.limits()
    }

    fn decode(&mut self, rows: &[Row]) -> Result<(), DecodeError> {
        self.context.decode(rows)
    }

    fn truncate(&mut self, sequence: SequenceId, position: u32) -> Result<(), DecodeError> {
        self.context.truncate(sequence, position)
    }

    fn share(&mut self, from: SequenceId, to: SequenceId, length: u32) -> Result<(), DecodeError> {
        self.context.share(from, to, length)
    }

    /// The addresses of a `llama_sampler` chain and of a grammar's sampler, with the promise of
    /// [`LlamaConfig`].
    fn add_chain(&mut self, chain: usize, grammar: usize) -> usize {
        let chain = NonNull::new(chain as *mut _).expect("the address of a sampler chain");
        self.templates.push(Template {
            chain,
            grammar: NonNull::new(grammar as *mut _),
        });
        self.templates.len() - 1
    }

    fn open_sampler(&mut self, chain: usize, history: &[Token]) -> SectionSampler {
        let template = *self.templates.get(chain).unwrap_or_else(|| {
            panic!("sampler chain {chain} of {}", self.templates.len());
        });
        SectionSampler::new(self.api, template, history)
    }

    fn candidates(
        &mut self,
        row: usize,
        sampler: &mut SectionSampler,
        banned: &[Token],
        constraint: Constraint,
    ) -> Result<&[Candidate], SampleError> {
        self.load_logits(row, banned)?;
        let capacity = self.data.len();
        let mut array = TokenDataArray {
            data: self.data.as_mut_ptr(),
            size: capacity,
            selected: -1,
            sorted: false,
        };
        if constraint == Constraint::Applied {
            sampler.apply_grammar(&mut array);
        }
        sampler.apply_chain(&mut array);
        assert!(
            !array.data.is_null() && array.size <= capacity,
            "a sampler left {} candidates of {capacity} at {:p}",
            array.size,
            array.data
        );
        // SAFETY: the samplers leave `size` entries at `data`. llama.h lets them put an array of their own
        // there, which lives as long as the sampler and is next written by its next use; `self.data`, where
        // it mostly is, is not touched before the copy is done.
        let left = unsafe { std::slice::from_raw_parts(array.data, array.size) };
        self.candidates.clear();
        self.candidates.extend(left.iter().map(|data| Candidate {
            token: data.id,
            logit: data.logit,
        }));
        if self
            .candidates
            .iter()
            .all(|candidate| candidate.logit == f32::NEG_INFINITY)
        {
            return Err(SampleError::NoCandidates);
        }
        Ok(&self.candidates)
    }

    fn admits(&mut self, sampler: &mut SectionSampler, token: Token) -> bool {
        sampler.admits(token)
    }

    fn accept(&mut self, sampler: &mut SectionSampler, token: Token) {
        sampler.accept(token);
    }
}

/// Refuses sizes that no context has.
fn check_limits(limits: Limits) -> Result<(), LibraryMismatch> {
    let sizes = [
        ("sequences", limits.sequences, MOST_SEQUENCES),
        ("cells", limits.cells, u32::MAX),
        (
            "cells_per_sequence",
            limits.cells_per_sequence,
            limits.cells,
        ),
        ("prompt_chunk", limits.prompt_chunk, u32::MAX),
        ("batch_tokens", limits.batch_tokens, i32::MAX as u32),
        ("outputs", limits.outputs, u32::MAX),
    ];
    for (name, size, most) in sizes {
        if size == 0 || size > most {
            let message = format!("the context has {name} = {size}, expected 1 to {most}");
            return Err(LibraryMismatch::Unusable(message));
        }
    }
    Ok(())
}

/// A typed pointer, refusing null.
fn address<T>(address: usize, what: &str) -> Result<NonNull<T>, LibraryMismatch> {
    NonNull::new(address as *mut T)
        .ok_or_else(|| LibraryMismatch::Unusable(format!("the address of {what} is null")))
}

#[cfg(test)]
mod tests;
