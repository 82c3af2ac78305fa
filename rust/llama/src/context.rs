//! One `llama_context`: evaluates batches, cuts sequences, hands out logits.
//!
//! llama.cpp ends the whole process on some wrong calls, so everything it would check by aborting is checked
//! here first.

use std::ptr::NonNull;

use longwriter_scheduler::backend::{DecodeError, Limits, Row, SequenceId};

use crate::api::{Api, Context, Memory};
use crate::batch::Batch;

/// A context, and how many tokens each of its sequences holds.
#[derive(Debug)]
pub(crate) struct DecodeContext {
    api: Api,
    context: NonNull<Context>,
    memory: NonNull<Memory>,
    limits: Limits,
    vocabulary_size: usize,
    batch: Batch,
    lengths: Vec<u32>,
    /// Which rows of the last batch have logits.
    outputs: Vec<bool>,
}

impl DecodeContext {
    /// A context with what its sequences hold already, or `None` if it has no KV cache.
    pub(crate) fn new(
        api: Api,
        context: NonNull<Context>,
        limits: Limits,
        vocabulary_size: usize,
    ) -> Option<Self> {
        // SAFETY: the context is alive while the backend exists, as its owner promises.
        let memory = unsafe { (api.llama_get_memory)(context.as_ptr()) };
        let mut context = Self {
            api,
            context,
            memory: NonNull::new(memory)?,
            limits,
            vocabulary_size,
            batch: Batch::new(limits.batch_tokens as usize),
            lengths: vec![0; limits.sequences as usize],
            outputs: Vec::new(),
        };
        context.resynchronize();
        Some(context)
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Evaluates rows; see [`longwriter_scheduler::backend::Backend::decode`].
    pub(crate) fn decode(&mut self, rows: &[Row]) -> Result<(), DecodeError> {
        self.outputs.clear();
        let lengths = self
            .check(rows)
            .map_err(|reason| DecodeError::InvalidBatch { reason })?;
        let batch = self
            .batch
            .fill(rows)
            .map_err(|reason| DecodeError::InvalidBatch { reason })?;
        // SAFETY: the context is alive and used by this object alone; the batch points into arrays of
        // `self.batch` that stay untouched during the call; counts, positions and sequences were checked.
        let code = unsafe { (self.api.llama_decode)(self.context.as_ptr(), batch) };
        match code {
            0 => {
                self.lengths = lengths;
                self.outputs.extend(rows.iter().map(|row| row.output));
                Ok(())
            }
            // The codes are documented at llama_decode in llama.h.
            1 => Err(DecodeError::NoRoom { rows: rows.len() }),
            -1 => {
                let reason = "llama.cpp calls it invalid".to_owned();
                Err(DecodeError::InvalidBatch { reason })
            }
            2 => {
                self.resynchronize();
                Err(DecodeError::Aborted)
            }
            code => {
                self.resynchronize();
                Err(DecodeError::Failed { code })
            }
        }
    }

    /// Removes all of a sequence from `position` on.
    pub(crate) fn truncate(
        &mut self,
        sequence: SequenceId,
        position: u32,
    ) -> Result<(), DecodeError> {
        let Some(length) = self.lengths.get_mut(sequence as usize) else {
            let reason = format!("there is no sequence {sequence}");
            return Err(DecodeError::InvalidBatch { reason });
        };
        if position >= *length {
            return Ok(());
        }
        // Both fit: the length came from positions that did.
        let (sequence, position) = (sequence as i32, position as i32);
        // SAFETY: the memory belongs to the context, which is alive and used by this object alone.
        let removed =
            unsafe { (self.api.llama_memory_seq_rm)(self.memory.as_ptr(), sequence, position, -1) };
        if !removed {
            let reason = format!("sequence {sequence} cannot be cut at {position}");
            return Err(DecodeError::InvalidBatch { reason });
        }
        *length = position as u32;
        Ok(())
    }

    /// Gives the first `length` tokens of `from` to the empty sequence `to` as well.
    pub(crate) fn share(
        &mut self,
        from: SequenceId,
        to: SequenceId,
        length: u32,
    ) -> Result<(), DecodeError> {
        let held = |sequence: SequenceId| self.lengths.get(sequence as usize).copied();
        let usable = held(from).is_some_and(|held| held >= length) && held(to) == Some(0);
        // llama.cpp aborts the process when it should share a part of a sequence in a split cache.
        if !usable || !self.limits.shared_cells || from == to {
            let reason = format!("{length} tokens of sequence {from} cannot be shared with {to}");
            return Err(DecodeError::InvalidBatch { reason });
        }
        // All fit: the lengths came from positions that did, and there are few sequences.
        let (source, target, end) = (from as i32, to as i32, length as i32);
        // SAFETY: the memory belongs to the context, which is alive and used by this object alone; both
        // sequences are its own, and the range is one that the first holds.
        unsafe { (self.api.llama_memory_seq_cp)(self.memory.as_ptr(), source, target, 0, end) };
        self.lengths[to as usize] = length;
        Ok(())
    }

    /// The logits after a row of the last batch, one for each token of the vocabulary.
    pub(crate) fn logits(&mut self, row: usize) -> Option<&[f32]> {
        if !self.outputs.get(row).copied().unwrap_or(false) {
            return None;
        }
        let index = i32::try_from(row).ok()?;
        // SAFETY: the context is alive and used by this object alone; the row was an output row of the
        // last batch, which was evaluated without an error.
        let logits = unsafe { (self.api.llama_get_logits_ith)(self.context.as_ptr(), index) };
        if logits.is_null() {
            return None;
        }
        // SAFETY: llama.cpp keeps one float for each token of the vocabulary at this address until the next
        // evaluation, which needs `&mut self`.
        Some(unsafe { std::slice::from_raw_parts(logits, self.vocabulary_size) })
    }

    /// The lengths of all sequences after these rows, or what is wrong with them.
    fn check(&self, rows: &[Row]) -> Result<Vec<u32>, String> {
        if rows.len() > self.limits.batch_tokens as usize {
            return Err(format!(
                "{} rows, at most {}",
                rows.len(),
                self.limits.batch_tokens
            ));
        }
        let outputs = rows.iter().filter(|row| row.output).count();
        if outputs > self.limits.outputs as usize {
            return Err(format!(
                "{outputs} output rows, at most {}",
                self.limits.outputs
            ));
        }
        let mut lengths = self.lengths.clone();
        for row in rows {
            if usize::try_from(row.token).map_or(true, |token| token >= self.vocabulary_size) {
                return Err(format!("token {} is outside the vocabulary", row.token));
            }
            let Some(length) = lengths.get_mut(row.sequence as usize) else {
                return Err(format!("there is no sequence {}", row.sequence));
            };
            if row.position != *length {
                return Err(format!(
                    "position {} of sequence {}, which holds {length} tokens",
                    row.position, row.sequence
                ));
            }
            *length += 1;
        }
        Ok(lengths)
    }

    /// Asks how much of each sequence is there: at first, and after a failure that may have left parts of a batch.
    fn resynchronize(&mut self) {
        for (sequence, length) in (0..).zip(&mut self.lengths) {
            // SAFETY: the memory belongs to the context, which is alive and used by this object alone; the
            // sequence is one of its own.
            let last =
                unsafe { (self.api.llama_memory_seq_pos_max)(self.memory.as_ptr(), sequence) };
            *length = u32::try_from(last).map_or(0, |last| last + 1);
        }
    }
}
