//! The append-only token log of one sequence, and how much of it is in the KV cache.
//!
//! What was read or sampled once is never tokenized again, so the prefix of the next prompt is the
//! same tokens by construction and its KV stays. Only what lies behind the seal may still be taken
//! back: the section that is being written, or the step of a `paper` prompt.

use std::ops::Range;

use crate::backend::Token;

/// Where a token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A prompt that the model has not seen before.
    Prompt,
    /// The model has seen or sampled it before, at another place or in a cache that is gone.
    Again,
    /// It was sampled where it stands.
    Sampled,
}

/// Tokens by their origin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evaluated {
    /// Prompt tokens, those of `again` included.
    pub read: u64,
    /// Tokens that the model had seen before.
    pub again: u64,
}

/// The tokens of one sequence in the order in which the model sees them.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    tokens: Vec<Token>,
    /// One for each token.
    origins: Vec<Origin>,
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

    /// Tokens at the front that never change again, unless all of the text is laid out anew
    /// ([`Transcript::rewind`]).
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

    /// Whether the only pending token is one that was just sampled.
    #[must_use]
    pub fn awaits_sampled(&self) -> bool {
        self.origins[self.cached..] == [Origin::Sampled]
    }

    /// Adds tokens at the end.
    pub fn append(&mut self, tokens: &[Token], origin: Origin) {
        self.tokens.extend_from_slice(tokens);
        self.origins.resize(self.tokens.len(), origin);
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
        self.origins.truncate(length);
        let cut = self.cached > self.tokens.len();
        self.cached = self.cached.min(self.tokens.len());
        cut
    }

    /// Takes back everything from `length` on, sealed or not, to lay the text out anew. Returns
    /// whether the KV cache has to be cut too.
    pub fn rewind(&mut self, length: usize) -> bool {
        self.sealed = self.sealed.min(length);
        self.truncate(length)
    }

    /// Makes the last token pending again, so that there are logits behind it. Returns whether it was cached,
    /// so that the KV cache has to be cut too.
    pub fn reread_last(&mut self) -> bool {
        let cut = self.cached > 0 && self.cached == self.tokens.len();
        self.cached -= usize::from(cut);
        cut
    }

    /// Notes that the next `count` pending tokens were evaluated.
    ///
    /// # Panics
    /// If fewer are pending.
    pub fn mark_cached(&mut self, count: usize) -> Evaluated {
        assert!(
            count <= self.pending().len(),
            "{count} of {}",
            self.pending().len()
        );
        let evaluated = self.count(self.cached..self.cached + count);
        self.cached += count;
        evaluated
    }

    /// Notes that the KV cache lost this sequence; everything is pending again.
    pub fn forget_cache(&mut self) {
        self.origins[..self.cached].fill(Origin::Again);
        self.cached = 0;
    }

    fn count(&self, range: Range<usize>) -> Evaluated {
        let mut evaluated = Evaluated::default();
        for origin in &self.origins[range] {
            evaluated.read += u64::from(*origin != Origin::Sampled);
            evaluated.again += u64::from(*origin == Origin::Again);
        }
        evaluated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_cached_is_pending() {
        let mut transcript = Transcript::default();
        transcript.append(&[1, 2, 3], Origin::Prompt);
        transcript.mark_cached(2);
        transcript.append(&[4], Origin::Sampled);
        assert_eq!(transcript.pending(), [3, 4]);
        assert!(!transcript.awaits_sampled());
        transcript.mark_cached(1);
        assert!(transcript.awaits_sampled());
        assert_eq!(transcript.tokens(), [1, 2, 3, 4]);
    }

    #[test]
    fn what_was_evaluated_is_counted_by_its_origin() {
        let mut transcript = Transcript::default();
        transcript.append(&[1, 2], Origin::Prompt);
        transcript.append(&[3], Origin::Sampled);
        assert_eq!(transcript.mark_cached(3), Evaluated { read: 2, again: 0 });
        transcript.forget_cache();
        assert_eq!(transcript.mark_cached(3), Evaluated { read: 3, again: 3 });
    }

    #[test]
    fn taking_back_tokens_says_whether_the_cache_must_be_cut() {
        let mut transcript = Transcript::default();
        transcript.append(&[1, 2, 3, 4], Origin::Prompt);
        transcript.seal(1);
        transcript.mark_cached(3);
        assert!(!transcript.truncate(3));
        assert!(transcript.truncate(2));
        assert_eq!((transcript.cached(), transcript.len()), (2, 2));
        assert!(transcript.rewind(0), "a rewind breaks the seal");
    }

    #[test]
    #[should_panic(expected = "break the seal")]
    fn sealed_tokens_cannot_be_taken_back() {
        let mut transcript = Transcript::default();
        transcript.append(&[1, 2], Origin::Prompt);
        transcript.seal(2);
        transcript.truncate(1);
    }
}
