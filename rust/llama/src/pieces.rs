//! The bytes of every token, read once.

use std::ffi::c_char;
use std::ptr::NonNull;

use longwriter_scheduler::backend::Token;

use crate::api::{Api, LibraryMismatch, Vocab};

/// Longest piece that is believed. Real ones have some hundred bytes at most (runs of blanks).
const LONGEST_PIECE: usize = 1 << 16;

/// All pieces in one block; token `t` has the bytes from `ends[t]` to `ends[t + 1]`.
#[derive(Debug)]
pub(crate) struct Pieces {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Pieces {
    /// Reads the pieces of all tokens; control tokens have none.
    pub(crate) fn read(api: Api, vocab: NonNull<Vocab>) -> Result<Self, LibraryMismatch> {
        // SAFETY: the vocabulary belongs to the model, which is alive while the backend exists.
        let count = unsafe { (api.llama_vocab_n_tokens)(vocab.as_ptr()) };
        let mut pieces = Self {
            bytes: Vec::new(),
            ends: vec![0],
        };
        let mut buffer = vec![0_u8; 256];
        for token in 0..count {
            let mut length = write_piece(api, vocab, token, &mut buffer);
            if let Some(missing) = needed(length).filter(|needed| *needed > buffer.len()) {
                if missing > LONGEST_PIECE {
                    let message = format!("token {token} has a piece of {missing} bytes");
                    return Err(LibraryMismatch::Unusable(message));
                }
                buffer.resize(missing, 0);
                length = write_piece(api, vocab, token, &mut buffer);
            }
            let length = usize::try_from(length).unwrap_or(0).min(buffer.len());
            pieces.bytes.extend_from_slice(&buffer[..length]);
            pieces.ends.push(pieces.bytes.len());
        }
        Ok(pieces)
    }

    /// Number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.ends.len() - 1
    }

    /// The bytes of `token`; none outside the vocabulary.
    pub(crate) fn get(&self, token: Token) -> &[u8] {
        let Ok(token) = usize::try_from(token) else {
            return &[];
        };
        match self.ends.get(token..token.saturating_add(2)) {
            Some(&[start, end]) => &self.bytes[start..end],
            _ => &[],
        }
    }
}

/// The room that a negative length asks for.
fn needed(length: i32) -> Option<usize> {
    usize::try_from(length.checked_neg()?).ok()
}

/// Writes a piece into the buffer and returns its length, negative if the buffer is too small.
fn write_piece(api: Api, vocab: NonNull<Vocab>, token: Token, buffer: &mut [u8]) -> i32 {
    let room = i32::try_from(buffer.len()).unwrap_or(i32::MAX);
    let start = buffer.as_mut_ptr().cast::<c_char>();
    // SAFETY: the vocabulary is alive, the token is one of its own, and the buffer has `room` bytes.
    unsafe { (api.llama_token_to_piece)(vocab.as_ptr(), token, start, room, 0, false) }
}
