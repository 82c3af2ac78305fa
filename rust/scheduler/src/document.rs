//! One document as it was asked for.
//!
//! A document is a prefix (instruction and plan) and a list of sections. Before each section its
//! `open` tokens are read; then tokens are sampled until the section ends. The layouts differ in what
//! becomes of a finished section (see [`Layout`]).

use std::sync::Arc;

use thiserror::Error;

use crate::backend::{Limits, Token};
use crate::length::Length;
use crate::text::Surroundings;

/// Most sections of a document, so that a section's number fits its place in a [`DrawKey`].
pub const MAX_SECTIONS: usize = u16::MAX as usize;

/// How the text so far is laid out for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// Each section stays where it was written, as the assistant's turn. Nothing is read twice.
    Turns,
    /// One prompt with the text so far inside and the step last (AgentWrite, arXiv 2408.07055,
    /// section 3). A finished section is read again where the text so far stands, followed by the
    /// separator.
    Paper {
        /// Tokens between two sections.
        separator: Vec<Token>,
    },
    /// The whole document is one turn of the assistant, in which the scheduler sets each heading. Nothing is
    /// read twice.
    Guided {
        /// What stands before a heading, after text that ends with no, one, or more line ends.
        leads: [Vec<Token>; 3],
    },
    /// Each section sees the prefix and its own opening, none of the other sections, so that several are
    /// written at the same time. They share the prefix's KV cells.
    Parallel,
}

/// One section as it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SectionSpec {
    /// Tokens that are read before the section. Never empty: its last one gives the first logits.
    pub open: Vec<Token>,
    /// The same for a section that directly follows the prefix; empty where that makes no difference.
    pub open_first: Vec<Token>,
    /// While the section has fewer words (the reader's count), tokens that end a turn are banned.
    pub floor_words: u32,
    /// From this many words on (the reader's count), the next end of a paragraph ends the section, or soon
    /// the next end of a sentence. 0 for no target.
    pub target_words: u32,
    /// Above so many words the section is cut back to its last whole sentence. 0 for no such limit; then only
    /// the end of the turn is refused below the floor.
    pub ceiling_words: u32,
    /// Tokens of its text after which the section is cut, unless it is below its floor and earlier sections have
    /// left room.
    pub max_tokens: u32,
    /// Tokens that an earlier process sampled for this section: of a finished one those that stay, else all of
    /// them in order, also those that were taken back.
    pub written: Vec<Token>,
    /// Whether the section had ended with them.
    pub finished: bool,
}

impl SectionSpec {
    /// Its length as it was planned.
    #[must_use]
    pub fn length(&self) -> Length {
        Length {
            floor: self.floor_words,
            target: self.target_words,
            ceiling: self.ceiling_words,
        }
    }
}

/// One document as it was asked for.
#[derive(Debug, Clone)]
pub struct DocumentSpec {
    /// Tokens that are read once, before everything else. May be empty.
    pub prefix: Vec<Token>,
    /// The sections in order; finished ones come first, unless they are written in parallel.
    pub sections: Vec<SectionSpec>,
    /// What becomes of a finished section.
    pub layout: Layout,
    /// Most KV cells that the document may use. Once its text outgrows them, the model sees the prefix and
    /// the end of the text. `None` if all of it has to fit.
    pub window: Option<u32>,
    /// Texts by which echoes and headings are recognised.
    pub surroundings: Arc<Surroundings>,
    /// Whether later sections make up for the words that earlier ones have too many or too few.
    pub rebalance: bool,
    /// Number of the backend's sampler chain.
    pub chain: usize,
    /// The user's seed.
    pub seed: u64,
    /// Tells documents with one seed apart.
    pub stream: u32,
    /// Tells repeated attempts at the same document apart.
    pub attempt: u16,
}

/// Why a document cannot be written at all.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpecError {
    /// There is nothing to write.
    #[error("the document has no sections")]
    NoSections,
    /// More sections than can be numbered.
    #[error("the document has {found} sections, more than {MAX_SECTIONS}")]
    TooManySections {
        /// Sections asked for.
        found: usize,
    },
    /// A section without a prompt of its own.
    #[error("section {section} has no tokens to read before it")]
    EmptyOpen {
        /// The section.
        section: usize,
    },
    /// A section that may not have a single token.
    #[error("section {section} has a limit of 0 tokens")]
    NoTokens {
        /// The section.
        section: usize,
    },
    /// A finished section behind an unfinished one.
    #[error("section {section} is finished, but an earlier one is not")]
    OutOfOrder {
        /// The section.
        section: usize,
    },
    /// A window that leaves too little room for text.
    #[error(
        "a window of {window} KV cells is too small: {needed} are needed for the prompts and a little text"
    )]
    WindowTooSmall {
        /// The window asked for.
        window: u32,
        /// Cells needed at least.
        needed: u64,
    },
    /// The KV cache can never hold it.
    #[error("the document needs up to {needed} KV cells, there are {cells}")]
    TooLarge {
        /// Cells needed at most.
        needed: u64,
        /// Cells of the cache.
        cells: u32,
    },
}

/// Share of a window's room for text that stays when it is full: less is read again, more is remembered.
pub(crate) const WINDOW_KEEPS: (usize, usize) = (1, 3);
/// Tokens of text that a window has to keep at least, so that a sentence can go on.
const LEAST_KEPT: usize = 64;

impl DocumentSpec {
    /// KV cells that the document's first sequence needs at most: of the whole document, or in parallel of
    /// its prefix and longest section. Finished sections in parallel need none.
    #[must_use]
    pub fn reserve(&self) -> u64 {
        if self.layout == Layout::Parallel {
            let unfinished = self.sections.iter().filter(|section| !section.finished);
            let longest = unfinished.map(Self::section_reserve).max().unwrap_or(0);
            return self.within_window((self.prefix.len() + longest) as u64);
        }
        let planned = self
            .sections
            .iter()
            .map(|section| section.max_tokens as usize);
        let planned: usize = planned.sum();
        let written: usize = self.sections.iter().map(Self::longest_text).sum();
        let through = self.cells_through(self.sections.len() - 1);
        self.within_window((through + written.saturating_sub(planned)) as u64)
    }

    /// KV cells that are promised to everything up to the end of section `number`, without a window.
    pub(crate) fn cells_through(&self, number: usize) -> usize {
        let sections = &self.sections[..=number];
        let opens = sections.iter().map(Self::longest_open);
        let (opens, between) = match &self.layout {
            Layout::Turns => (opens.sum(), 0),
            Layout::Paper { separator } => (opens.max().unwrap_or(0), separator.len()),
            Layout::Guided { leads } => {
                (opens.sum(), leads.iter().map(Vec::len).max().unwrap_or(0))
            }
            Layout::Parallel => {
                return self.prefix.len() + Self::section_reserve(&self.sections[number]);
            }
        };
        let texts = sections.iter().map(|section| section.max_tokens as usize);
        self.prefix.len() + opens + texts.sum::<usize>() + between * sections.len()
    }

    /// KV cells that one more section in parallel needs at most. The prefix counts although its cells are
    /// shared: after a failed evaluation each sequence may have to read it for itself.
    pub(crate) fn parallel_reserve(&self, section: usize) -> u32 {
        let section = Self::section_reserve(&self.sections[section]);
        // `validate` has checked that the longest section fits into an empty cache, so into u32.
        self.within_window((self.prefix.len() + section) as u64) as u32
    }

    fn within_window(&self, cells: u64) -> u64 {
        self.window
            .map_or(cells, |window| cells.min(u64::from(window)))
    }

    fn longest_open(section: &SectionSpec) -> usize {
        section.open.len().max(section.open_first.len())
    }

    fn longest_text(section: &SectionSpec) -> usize {
        if section.finished {
            section.written.len()
        } else {
            section.max_tokens as usize
        }
    }

    fn section_reserve(section: &SectionSpec) -> usize {
        Self::longest_open(section) + Self::longest_text(section)
    }

    /// Checks everything that can be known before the start.
    ///
    /// # Errors
    /// See [`SpecError`].
    pub fn validate(&self, limits: &Limits) -> Result<(), SpecError> {
        if self.sections.is_empty() {
            return Err(SpecError::NoSections);
        }
        if self.sections.len() > MAX_SECTIONS {
            return Err(SpecError::TooManySections {
                found: self.sections.len(),
            });
        }
        let mut unfinished = false;
        for (section, spec) in self.sections.iter().enumerate() {
            if spec.open.is_empty() {
                return Err(SpecError::EmptyOpen { section });
            }
            if spec.max_tokens == 0 {
                return Err(SpecError::NoTokens { section });
            }
            if unfinished
                && self.layout != Layout::Parallel
                && (spec.finished || !spec.written.is_empty())
            {
                return Err(SpecError::OutOfOrder { section });
            }
            unfinished |= !spec.finished;
        }
        self.validate_window()?;
        let needed = self.reserve();
        let cells = limits.cells.min(limits.cells_per_sequence);
        if needed > u64::from(cells) {
            return Err(SpecError::TooLarge { needed, cells });
        }
        Ok(())
    }

    fn validate_window(&self) -> Result<(), SpecError> {
        let needed = self.least_window();
        match self.window {
            Some(window) if needed > u64::from(window) => {
                Err(SpecError::WindowTooSmall { window, needed })
            }
            _ => Ok(()),
        }
    }

    /// The smallest [`DocumentSpec::window`] that the document can be written in.
    #[must_use]
    pub fn least_window(&self) -> u64 {
        let open = self
            .sections
            .iter()
            .map(Self::longest_open)
            .max()
            .unwrap_or(0);
        let between = match &self.layout {
            Layout::Paper { separator } => separator.len(),
            Layout::Guided { leads } => leads.iter().map(Vec::len).max().unwrap_or(0),
            Layout::Turns | Layout::Parallel => 0,
        };
        // What is kept has the opening of its first section, and the next opening must follow it.
        let room = (LEAST_KEPT + open + between) * WINDOW_KEEPS.1 / WINDOW_KEEPS.0;
        (self.prefix.len() + room) as u64
    }
}
