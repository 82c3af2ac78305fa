//! The append-only token log of one document, and how much of it is in the KV cache.
//!
//! What was read or sampled once is never tokenized again, so the prefix of the next prompt is the
//! same tokens by construction and its KV stays. Only what lies behind the seal may still be taken
//! back: the section that is being written, or the step of a `paper` prompt.

use crate::backend::Token;

/// The tokens of one document in the order in which the model sees them.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    tokens: Vec<Token>,
    sealed: usize,
    cached: usize,
}

impl Transcript {
    /// All tokens.
    #[must_use]
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there is no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Tokens at the front that never change again.
    #[must_use]
    pub fn sealed(&self) -> usize {
        self.sealed
    }

    /// Tokens at the front that are in the KV cache.
    #[must_use]
    pub fn cached(&self) -> usize {
        self.cached
    }

    /// Tokens that still have to be evaluated.
    #[must_use]
    pub fn pending(&self) -> &[Token] {
        &self.tokens[self.cached..]
    }

    /// Adds tokens at the end.
    pub fn append(&mut self, tokens: &[Token]) {
        self.tokens.extend_from_slice(tokens);
    }

    /// Makes all tokens up to `length` final.
    ///
    /// # Panics
    /// If `length` is behind the end, or before an earlier seal.
    pub fn seal(&mut self, length: usize) {
        assert!(
            (self.sealed..=self.tokens.len()).contains(&length),
            "a seal at {length} of {} tokens, {} sealed",
            self.tokens.len(),
            self.sealed
        );
        self.sealed = length;
    }

    /// Takes back everything from `length` on. Returns whether cached tokens went with it, so that
    /// the KV cache has to be cut too.
    ///
    /// # Panics
    /// If sealed tokens would be lost.
    pub fn truncate(&mut self, length: usize) -> bool {
        assert!(
            length >= self.sealed,
            "{length} would break the seal at {}",
            self.sealed
        );
        self.tokens.truncate(length);
        let cut = self.cached > self.tokens.len();
        self.cached = self.cached.min(self.tokens.len());
        cut
    }

    /// Notes that the next `count` pending tokens were evaluated.
    ///
    /// # Panics
    /// If fewer are pending.
    pub fn mark_cached(&mut self, count: usize) {
        assert!(
            count <= self.pending().len(),
            "{count} of {}",
            self.pending().len()
        );
        self.cached += count;
    }

    /// Notes that the KV cache lost this document; everything is pending again.
    pub fn forget_cache(&mut self) {
        self.cached = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_cached_is_pending() {
        let mut transcript = Transcript::default();
        transcript.append(&[1, 2, 3]);
        transcript.mark_cached(2);
        transcript.append(&[4]);
        assert_eq!(transcript.pending(), [3, 4]);
        assert_eq!(transcript.tokens(), [1, 2, 3, 4]);
    }

    #[test]
    fn taking_back_tokens_says_whether_the_cache_must_be_cut() {
        let mut transcript = Transcript::default();
        transcript.append(&[1, 2, 3, 4]);
        transcript.seal(1);
        transcript.mark_cached(3);
        assert!(!transcript.truncate(3));
        assert!(transcript.truncate(2));
        assert_eq!((transcript.cached(), transcript.len()), (2, 2));
    }

    #[test]
    #[should_panic(expected = "break the seal")]
    fn sealed_tokens_cannot_be_taken_back() {
        let mut transcript = Transcript::default();
        transcript.append(&[1, 2]);
        transcript.seal(2);
        transcript.truncate(1);
    }
}
