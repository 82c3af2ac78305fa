//! Who holds which sequence of the KV cache, and how many cells are promised to it.
//!
//! A document is admitted with all the cells that it can ever need, so a running one is never
//! thrown out for room.

use std::collections::{BTreeMap, BTreeSet};

use crate::backend::SequenceId;

/// The sequences and cells of one KV cache.
#[derive(Debug, Clone)]
pub struct Slots {
    cells: u32,
    cells_per_sequence: u32,
    free: BTreeSet<SequenceId>,
    reserved: BTreeMap<SequenceId, u32>,
}

impl Slots {
    /// All of `sequences` free, with `cells` cells between them and at most `cells_per_sequence` in one.
    #[must_use]
    pub fn new(sequences: u32, cells: u32, cells_per_sequence: u32) -> Self {
        Self {
            cells,
            cells_per_sequence,
            free: (0..sequences).collect(),
            reserved: BTreeMap::new(),
        }
    }

    /// Cells in all.
    #[must_use]
    pub fn cells(&self) -> u32 {
        self.cells
    }

    /// Cells that no holder was promised.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.cells - self.reserved.values().sum::<u32>()
    }

    /// The lowest free sequence with `cells` cells, or `None` while there is no room.
    pub fn acquire(&mut self, cells: u32) -> Option<SequenceId> {
        if !self.has_room(cells) {
            return None;
        }
        let sequence = self.free.pop_first()?;
        self.reserved.insert(sequence, cells);
        Some(sequence)
    }

    /// Whether [`Slots::acquire`] would give a sequence with `cells` cells.
    #[must_use]
    pub fn has_room(&self, cells: u32) -> bool {
        !self.free.is_empty() && cells <= self.available().min(self.cells_per_sequence)
    }

    /// Cells that are promised to the holder of `sequence`, 0 if nobody holds it.
    #[must_use]
    pub fn reserved(&self, sequence: SequenceId) -> u32 {
        self.reserved.get(&sequence).copied().unwrap_or(0)
    }

    /// Gives `sequence` and its cells back.
    ///
    /// # Panics
    /// If nobody holds it.
    pub fn release(&mut self, sequence: SequenceId) {
        let held = self.reserved.remove(&sequence);
        assert!(held.is_some(), "sequence {sequence} is not held");
        self.free.insert(sequence);
    }

    /// Sequences that are held.
    pub fn held(&self) -> impl Iterator<Item = SequenceId> + '_ {
        self.reserved.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_and_sequences_are_given_out_once_and_come_back() {
        let mut slots = Slots::new(2, 100, 100);
        let first = slots.acquire(60).unwrap();
        assert_eq!(slots.acquire(50), None, "more cells than are left");
        let second = slots.acquire(40).unwrap();
        assert_ne!(first, second);
        assert_eq!(slots.acquire(0), None, "no sequence left");
        slots.release(first);
        assert_eq!(slots.available(), 60);
        assert_eq!(slots.acquire(60), Some(first));
    }

    #[test]
    fn one_sequence_gets_no_more_than_its_share() {
        let mut slots = Slots::new(2, 100, 50);
        assert!(!slots.has_room(51));
        let first = slots.acquire(30).unwrap();
        assert_eq!((slots.reserved(first), slots.available()), (30, 70));
    }

    #[test]
    #[should_panic(expected = "not held")]
    fn a_sequence_cannot_be_given_back_twice() {
        let mut slots = Slots::new(1, 10, 10);
        let sequence = slots.acquire(1).unwrap();
        slots.release(sequence);
        slots.release(sequence);
    }
}
