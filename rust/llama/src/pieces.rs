//! The bytes of every token, read once.

use std::ffi::c_char;
use std::ptr::NonNull;

use longwriter_scheduler::backend::Token;

use crate::api::{Api, LibraryMismatch, Vocab};

/// Longest piece that is believed. Real ones have some hundred bytes at most (runs of blanks).
const LONGEST_PIECE: usize = 1 << 16;

/// All pieces in one block; token `t` has the bytes from `offsets[t]` to `offsets[t + 1]`.
#[derive(Debug)]
pub(crate) struct Pieces {
    bytes: Vec<u8>,
    offsets: Vec<usize>,
}

impl Pieces {
    /// Reads the pieces of all tokens; control tokens have none.
    pub(crate) fn read(api: Api, vocab: NonNull<Vocab>) -> Result<Self, LibraryMismatch> {
        // SAFETY: the vocabulary belongs to the model, which is alive while the backend exists.
        let count = unsafe { (api.llama_vocab_n_tokens)(vocab.as_ptr()) };
        if count <= 0 {
            let message = format!("the vocabulary has {count} tokens");
            return Err(LibraryMismatch::Unusable(message));
        }
        let mut pieces = Self {
            bytes: Vec::new(),
            offsets: vec![0],
        };
        let mut buffer = vec![0_u8; 256];
        for token in 0..count {
            let mut length = write_piece(api, vocab, token, &mut buffer);
            let needed = length.unsigned_abs() as usize;
            if length < 0 && needed <= LONGEST_PIECE {
                buffer.resize(needed.max(buffer.len()), 0);
                length = write_piece(api, vocab, token, &mut buffer);
            }
            let piece = usize::try_from(length)
                .ok()
                .and_then(|length| buffer.get(..length))
                .ok_or_else(|| {
                    LibraryMismatch::Unusable(format!(
                        "the piece of token {token} cannot be read (llama_token_to_piece gave {length})"
                    ))
                })?;
            pieces.bytes.extend_from_slice(piece);
            pieces.offsets.push(pieces.bytes.len());
        }
        Ok(pieces)
    }

    /// Number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The bytes of `token`; none outside the vocabulary.
    pub(crate) fn get(&self, token: Token) -> &[u8] {
        let Ok(token) = usize::try_from(token) else {
            return &[];
        };
        match self.offsets.get(token..token.saturating_add(2)) {
            Some(&[start, end]) => &self.bytes[start..end],
            _ => &[],
        }
    }
}

/// Writes a piece into the buffer and returns its length, negative if the buffer is too small.
fn write_piece(api: Api, vocab: NonNull<Vocab>, token: Token, buffer: &mut [u8]) -> i32 {
    let room = i32::try_from(buffer.len()).unwrap_or(i32::MAX);
    let start = buffer.as_mut_ptr().cast::<c_char>();
    // SAFETY: the vocabulary is alive, the token is one of its own, and the buffer has `room` bytes.
    unsafe { (api.llama_token_to_piece)(vocab.as_ptr(), token, start, room, 0, false) }
}
