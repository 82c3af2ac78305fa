//! What the engine tells the outside, in the order in which it happened.

use crate::backend::{DecodeError, SampleError, Token};

/// Number of a document; a later one has a higher number.
pub type DocumentId = u32;

/// Why a section ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The model ended its turn.
    EndOfTurn,
    /// The model began the next section's heading, which was cut off.
    NextHeading,
    /// The section had its target, and a paragraph or sentence ended.
    TargetReached,
    /// The section had more words than it may have, and was cut back to its last whole sentence.
    Ceiling,
    /// The section's token limit was reached; the text may stop in the middle of a sentence.
    TokenLimit,
}

/// Why text was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The next section's heading began before this section had its words.
    EarlyHeading,
    /// A closing phrase, "The End" or the like came before the section had its words.
    EarlyEnd,
    /// The section had too many words.
    Ceiling,
    /// The section reached its token limit.
    TokenLimit,
}

impl Cause {
    /// The name that crosses into Python and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EarlyHeading => "early_heading",
            Self::EarlyEnd => "early_end",
            Self::Ceiling => "ceiling",
            Self::TokenLimit => "token_limit",
        }
    }
}

impl EndReason {
    /// The name that crosses into Python and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EndOfTurn => "end_of_turn",
            Self::NextHeading => "next_heading",
            Self::TargetReached => "target_reached",
            Self::Ceiling => "ceiling",
            Self::TokenLimit => "token_limit",
        }
    }
}

/// Why a document ended before it was whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The evaluation failed.
    Decode(DecodeError),
    /// No token could be chosen.
    Sample(SampleError),
    /// Somebody asked for it.
    Cancelled,
}

impl Fault {
    /// The name that crosses into Python and JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Decode(DecodeError::NoRoom { .. }) => "no_room",
            Self::Decode(DecodeError::Aborted) => "aborted",
            Self::Decode(DecodeError::InvalidBatch { .. }) => "invalid_batch",
            Self::Decode(DecodeError::Failed { .. }) => "decode_failed",
            Self::Sample(SampleError::NoLogits { .. }) => "no_logits",
            Self::Sample(SampleError::NotFinite { .. }) => "not_finite",
            Self::Sample(SampleError::NoCandidates) => "no_candidates",
            Self::Cancelled => "cancelled",
        }
    }

    /// One sentence for a person.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Decode(error) => error.to_string(),
            Self::Sample(error) => error.to_string(),
            Self::Cancelled => "the document was cancelled".to_owned(),
        }
    }
}

/// Tokens and time that a document took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Prompt tokens evaluated.
    pub tokens_read: u64,
    /// Those of `tokens_read` that had been evaluated or sampled before.
    pub tokens_reread: u64,
    /// Prompt tokens that were not evaluated since their KV was still there, summed over sections.
    pub tokens_reused: u64,
    /// Tokens sampled for the text.
    pub tokens_written: u64,
    /// Seconds in `decode` for prompt tokens.
    pub prefill_seconds: f64,
    /// Seconds in `decode` for sampled tokens.
    pub decode_seconds: f64,
    /// Seconds in the samplers.
    pub sampling_seconds: f64,
    /// Seconds of the engine's other work.
    pub other_seconds: f64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.tokens_read += other.tokens_read;
        self.tokens_reread += other.tokens_reread;
        self.tokens_reused += other.tokens_reused;
        self.tokens_written += other.tokens_written;
        self.prefill_seconds += other.prefill_seconds;
        self.decode_seconds += other.decode_seconds;
        self.sampling_seconds += other.sampling_seconds;
        self.other_seconds += other.other_seconds;
    }
}

/// Something that happened to a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Prompt tokens of a section were read.
    Prefill {
        /// The document.
        document: DocumentId,
        /// The section whose prompt it is.
        section: usize,
        /// Tokens read so far.
        done: usize,
        /// Tokens to read.
        total: usize,
    },
    /// A section begins, or goes on with what an earlier process wrote.
    SectionStarted {
        /// The document.
        document: DocumentId,
        /// The section.
        section: usize,
        /// Text that it already has.
        text: String,
        /// Words of that text.
        words: u32,
        /// Characters of it that cannot be taken back any more.
        settled: usize,
    },
    /// More text. It may lag behind the tokens while a line could still become a heading.
    Text {
        /// The document.
        document: DocumentId,
        /// The section.
        section: usize,
        /// The new text.
        text: String,
        /// Tokens sampled since the last event.
        tokens: Vec<Token>,
        /// Words of the section so far, the reader's count.
        words: u32,
        /// Characters of the section's text that cannot be taken back any more.
        settled: usize,
    },
    /// The end of a section's text was taken back, and the section goes on from there or ends.
    Rewound {
        /// The document.
        document: DocumentId,
        /// The section.
        section: usize,
        /// Why.
        cause: Cause,
        /// Characters of the section's text that stay.
        text_kept: usize,
        /// Tokens sampled since the last event. Those that were taken back still belong to what was sampled:
        /// with all of them a killed section goes on as it would have.
        tokens: Vec<Token>,
        /// Words of the section that stay, the reader's count.
        words: u32,
    },
    /// The text outgrew the document's window: the model goes on with the prefix and the end of the text.
    Compacted {
        /// The document.
        document: DocumentId,
        /// The section that is written.
        section: usize,
        /// Tokens of the text that the model still sees.
        kept: usize,
        /// Tokens of the text that it no longer sees.
        dropped: usize,
    },
    /// A section is finished.
    SectionEnded {
        /// The document.
        document: DocumentId,
        /// The section.
        section: usize,
        /// Text that had been held back.
        text: String,
        /// Tokens sampled since the last event.
        tokens: Vec<Token>,
        /// The section's tokens that stay, from its first.
        kept: Vec<Token>,
        /// Why it ended.
        reason: EndReason,
        /// Words of the section, the reader's count.
        words: u32,
        /// Whether it lacks words, or was cut for want of room.
        unfinished: bool,
    },
    /// A document is finished, or failed.
    DocumentEnded {
        /// The document.
        document: DocumentId,
        /// `None` for a whole document.
        fault: Option<Fault>,
        /// What it took.
        usage: Usage,
    },
}

impl Event {
    /// The document that the event is about.
    #[must_use]
    pub fn document(&self) -> DocumentId {
        match self {
            Self::Prefill { document, .. }
            | Self::SectionStarted { document, .. }
            | Self::Text { document, .. }
            | Self::Rewound { document, .. }
            | Self::Compacted { document, .. }
            | Self::SectionEnded { document, .. }
            | Self::DocumentEnded { document, .. } => *document,
        }
    }
}
