//! The batch that is handed to `llama_decode`: arrays of a fixed capacity, filled anew for each step.
//!
//! llama.cpp is moving to an opaque batch; nothing outside this file knows the present one.

use longwriter_scheduler::backend::{Row, Token};

use crate::abi::LlamaBatch;

/// Owns the arrays that a `llama_batch` points to. Each token belongs to one sequence.
#[derive(Debug)]
pub(crate) struct Batch {
    tokens: Vec<Token>,
    positions: Vec<i32>,
    sequence_counts: Vec<i32>,
    sequences: Vec<i32>,
    /// Addresses of the entries of `sequences`, taken anew for each step.
    sequence_pointers: Vec<*mut i32>,
    outputs: Vec<i8>,
}

impl Batch {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            tokens: vec![0; capacity],
            positions: vec![0; capacity],
            sequence_counts: vec![1; capacity],
            sequences: vec![0; capacity],
            sequence_pointers: vec![std::ptr::null_mut(); capacity],
            outputs: vec![0; capacity],
        }
    }

    /// Fills in the rows and lends them as llama.cpp wants them.
    ///
    /// The result points into this batch, which must not change or move until it was used.
    ///
    /// # Errors
    /// In words, if there are no rows or more than the capacity, or a number does not fit.
    pub(crate) fn fill(&mut self, rows: &[Row]) -> Result<LlamaBatch, String> {
        if rows.is_empty() || rows.len() > self.tokens.len() {
            return Err(format!(
                "{} rows in a batch that holds 1 to {}",
                rows.len(),
                self.tokens.len()
            ));
        }
        for (place, row) in rows.iter().enumerate() {
            self.tokens[place] = row.token;
            self.positions[place] = signed(row.position)?;
            self.sequences[place] = signed(row.sequence)?;
            self.outputs[place] = i8::from(row.output);
        }
        // After the last write through the vector, which would end the validity of earlier addresses.
        let first = self.sequences.as_mut_ptr();
        for (place, pointer) in self.sequence_pointers[..rows.len()].iter_mut().enumerate() {
            *pointer = first.wrapping_add(place);
        }
        Ok(LlamaBatch {
            n_tokens: i32::try_from(rows.len()).map_err(|error| error.to_string())?,
            token: self.tokens.as_mut_ptr(),
            embd: std::ptr::null_mut(),
            pos: self.positions.as_mut_ptr(),
            n_seq_id: self.sequence_counts.as_mut_ptr(),
            seq_id: self.sequence_pointers.as_mut_ptr(),
            logits: self.outputs.as_mut_ptr(),
        })
    }
}

fn signed(number: u32) -> Result<i32, String> {
    i32::try_from(number).map_err(|_| format!("{number} does not fit into 32 signed bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(position: u32) -> Row {
        Row {
            token: 7,
            position,
            sequence: 1,
            output: position == 1,
        }
    }

    #[test]
    fn rows_become_the_arrays_of_a_llama_batch() {
        let mut batch = Batch::new(3);
        let filled = batch.fill(&[row(0), row(1)]).unwrap();
        assert_eq!(filled.n_tokens, 2);
        assert!(filled.embd.is_null());
        assert_eq!(batch.tokens, [7, 7, 0]);
        assert_eq!(batch.positions, [0, 1, 0]);
        assert_eq!(batch.sequences, [1, 1, 0]);
        assert_eq!(batch.outputs, [0, 1, 0]);
        for place in 0..2 {
            assert_eq!(
                batch.sequence_pointers[place].cast_const(),
                std::ptr::from_ref(&batch.sequences[place])
            );
        }
    }

    #[test]
    fn no_rows_and_too_many_are_refused() {
        let mut batch = Batch::new(2);
        assert!(batch.fill(&[]).is_err());
        let error = batch.fill(&[row(0), row(1), row(2)]).unwrap_err();
        assert!(error.contains("3 rows"), "{error}");
        assert!(batch.fill(&[row(u32::MAX)]).is_err());
    }
}
