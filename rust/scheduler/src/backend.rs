//! The boundary between the engine and whatever evaluates tokens.
//!
//! A backend evaluates rows of tokens, keeps one KV cache of numbered sequences, and filters
//! candidates for the next token. It takes no decision: which rows run and which candidate is
//! drawn is the engine's business.

use thiserror::Error;

/// A token id of the model's vocabulary.
pub type Token = i32;

/// A sequence of the KV cache, from 0 to [`Limits::sequences`] − 1.
pub type SequenceId = u32;

/// What a backend can hold and do in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sequences that the KV cache tells apart.
    pub sequences: u32,
    /// KV cells in all (one cell holds one token).
    pub cells: u32,
    /// KV cells that one sequence can hold: all of them in a unified cache, its share in a split one.
    pub cells_per_sequence: u32,
    /// Whether sequences can hold cells in common ([`Backend::share`]).
    pub shared_cells: bool,
    /// Most rows in one call of [`Backend::decode`].
    pub batch_tokens: u32,
    /// Most prompt rows in a call that also holds sampled tokens: a longer prompt is read in chunks, so
    /// that it does not stall the sections that are written.
    pub prompt_chunk: u32,
    /// Most output rows in one call of [`Backend::decode`].
    pub outputs: u32,
}

/// One token to evaluate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The token.
    pub token: Token,
    /// Its position in the sequence, counted from 0; rows of a sequence come without gaps.
    pub position: u32,
    /// The sequence it belongs to.
    pub sequence: SequenceId,
    /// Whether logits are wanted after this token.
    pub output: bool,
}

/// One candidate for the next token, with its logit after the sampler chain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The token.
    pub token: Token,
    /// Its logit; negative infinity means that it is ruled out.
    pub logit: f32,
}

/// How an evaluation failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// No room in the KV cache; the cache is as it was before the call.
    #[error("the KV cache has no room for {rows} more tokens")]
    NoRoom {
        /// Rows of the refused call.
        rows: usize,
    },
    /// The evaluation was aborted; parts of the batch may be in the cache.
    #[error("the evaluation was aborted")]
    Aborted,
    /// The batch was refused as invalid; nothing was evaluated.
    #[error("the batch was refused: {reason}")]
    InvalidBatch {
        /// What was wrong with it.
        reason: String,
    },
    /// The backend failed; the cache of every sequence in the batch is uncertain.
    #[error("the backend failed with code {code}")]
    Failed {
        /// The backend's own code.
        code: i32,
    },
}

/// Why no candidate could be offered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SampleError {
    /// The row has no logits, or the backend returned no address for them.
    #[error("the backend returned no logits for row {row}")]
    NoLogits {
        /// Row of the last decoded batch.
        row: usize,
    },
    /// The logits hold NaN or positive infinity: the model or the backend is broken.
    #[error("the logits are not finite (first bad token: {token})")]
    NotFinite {
        /// The first token with such a logit.
        token: Token,
    },
    /// Every candidate is ruled out.
    #[error("no token is left to choose from")]
    NoCandidates,
}

/// Which candidates are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraint {
    /// The sampler chain alone. Cheap: the grammar, if there is one, has not been asked.
    Ignored,
    /// The grammar first, over the whole vocabulary, then the sampler chain.
    Applied,
}

/// The bytes that a token stands for.
pub trait Vocabulary {
    /// Bytes of `token`, empty for control tokens and for ids outside the vocabulary. They may
    /// end inside a UTF-8 character.
    fn piece(&self, token: Token) -> &[u8];
}

/// Evaluates tokens and filters candidates.
pub trait Backend: Vocabulary {
    /// The state of one section's sampler chain.
    type Sampler;

    /// What this backend can hold.
    fn limits(&self) -> Limits;

    /// Evaluates `rows` and keeps them in the KV cache. Logits of the output rows are valid until
    /// the next call.
    ///
    /// # Errors
    /// See [`DecodeError`] for what is left in the cache.
    fn decode(&mut self, rows: &[Row]) -> Result<(), DecodeError>;

    /// Removes all tokens of `sequence` from `position` on.
    ///
    /// # Errors
    /// `InvalidBatch` if the cache cannot drop a part of a sequence.
    fn truncate(&mut self, sequence: SequenceId, position: u32) -> Result<(), DecodeError>;

    /// Gives the first `length` tokens of `from` to the empty sequence `to` as well, without evaluating
    /// them again.
    ///
    /// # Errors
    /// `InvalidBatch` if the cache cannot hold cells in common; nothing has changed then.
    fn share(&mut self, from: SequenceId, to: SequenceId, length: u32) -> Result<(), DecodeError>;

    /// Makes one more sampler chain known and returns its number. Both are handles that mean something to the
    /// backend alone; `grammar` is 0 for none.
    fn add_chain(&mut self, chain: usize, grammar: usize) -> usize;

    /// A sampler from chain number `chain`, which has seen `history` (oldest first).
    fn open_sampler(&mut self, chain: usize, history: &[Token]) -> Self::Sampler;

    /// Candidates for the token after row number `row` of the last decoded batch, without the
    /// tokens in `banned`.
    ///
    /// # Errors
    /// See [`SampleError`].
    fn candidates(
        &mut self,
        row: usize,
        sampler: &mut Self::Sampler,
        banned: &[Token],
        constraint: Constraint,
    ) -> Result<&[Candidate], SampleError>;

    /// Whether the sampler's grammar, if it has one, allows `token` next.
    fn admits(&mut self, sampler: &mut Self::Sampler, token: Token) -> bool;

    /// Tells the sampler that `token` was chosen.
    fn accept(&mut self, sampler: &mut Self::Sampler, token: Token);
}
