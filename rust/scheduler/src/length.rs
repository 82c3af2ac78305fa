//! How long a section gets: where it may end, should end, and has to.
//!
//! All lengths are words by the reader's count.

use crate::event::EndReason;
use crate::text::Rest;

/// How far the sections that are left may be stretched or shortened to make up for those before them: further
/// would show in the text.
const STRETCH: (f64, f64) = (0.75, 1.25);
/// A section without a ceiling waits for the end of a paragraph for so much of its target, then takes the end
/// of a sentence.
const PATIENCE: f64 = 0.1;
/// A closing paragraph may begin when no more than this is missing.
const CLOSING_WORDS: u32 = 60;
const CLOSING_SHARE: f64 = 0.15;

/// The length of one section. 0 stands for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Length {
    /// With fewer words it may not end.
    pub floor: u32,
    /// From about here on it ends with the next paragraph, or soon the next sentence.
    pub target: u32,
    /// With more words it is cut back to its last whole sentence. Where there is a ceiling, other ways to end
    /// below the floor than the end of the turn are not let pass either.
    pub ceiling: u32,
}

impl Length {
    /// Whether the text is held to its length by cutting it.
    #[must_use]
    pub fn is_strict(self) -> bool {
        self.ceiling > 0
    }

    /// Why the section ends with `words` words at this place, if it does.
    #[must_use]
    pub fn end(self, words: u32, rest: Option<Rest>) -> Option<EndReason> {
        if self.is_strict() && words > self.ceiling {
            return Some(EndReason::Ceiling);
        }
        let enough = match rest? {
            Rest::Paragraph => self.paragraph_from(),
            Rest::Sentence | Rest::Item => self.sentence_from(),
        };
        (self.target > 0 && words >= enough).then_some(EndReason::TargetReached)
    }

    /// Words from which on the end of a paragraph is taken: where there is a floor, half of the way from it to
    /// the target, since the next one may be far.
    fn paragraph_from(self) -> u32 {
        if self.is_strict() && self.floor > 0 {
            self.floor.midpoint(self.target)
        } else {
            self.target
        }
    }

    /// Words from which on the end of a sentence is taken.
    fn sentence_from(self) -> u32 {
        if self.is_strict() {
            self.target.midpoint(self.ceiling)
        } else {
            scaled(self.target, 1.0 + PATIENCE)
        }
    }

    /// Whether a paragraph that closes the text may begin with `words` words.
    #[must_use]
    pub fn may_close(self, words: u32) -> bool {
        let missing = CLOSING_WORDS.max(scaled(self.target, CLOSING_SHARE));
        words >= self.floor.min(self.target.saturating_sub(missing))
    }

    /// The length of section `number` after `words` words in the sections before it, so that the whole comes to
    /// what was `planned`.
    ///
    /// # Panics
    /// If there is no such section.
    #[must_use]
    pub fn rebalanced(planned: &[Self], number: usize, words: u32) -> Self {
        let sum = |lengths: &[Self]| {
            lengths
                .iter()
                .map(|length| f64::from(length.target))
                .sum::<f64>()
        };
        let own = planned[number];
        let (before, left) = (sum(&planned[..number]), sum(&planned[number..]));
        if left <= 0.0 {
            return own;
        }
        let stretch = ((left + before - f64::from(words)) / left).clamp(STRETCH.0, STRETCH.1);
        Self {
            floor: scaled(own.floor, stretch),
            target: scaled(own.target, stretch),
            ceiling: scaled(own.ceiling, stretch),
        }
    }
}

/// `words` times `factor`, rounded; never 0 unless it was.
fn scaled(words: u32, factor: f64) -> u32 {
    ((f64::from(words) * factor).round() as u32).max(words.min(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Length = Length {
        floor: 90,
        target: 100,
        ceiling: 110,
    };

    #[test]
    fn a_paragraph_is_taken_a_little_early_and_a_sentence_a_little_late() {
        let ends = |words, rest| STRICT.end(words, Some(rest)) == Some(EndReason::TargetReached);
        assert!(!ends(94, Rest::Paragraph) && ends(95, Rest::Paragraph));
        assert!(!ends(104, Rest::Sentence) && ends(105, Rest::Sentence));
        assert_eq!(STRICT.end(110, None), None);
        assert_eq!(STRICT.end(111, None), Some(EndReason::Ceiling));
    }

    #[test]
    fn without_a_target_nothing_ends_a_section() {
        assert_eq!(Length::default().end(5000, Some(Rest::Paragraph)), None);
    }

    #[test]
    fn later_sections_make_up_for_the_earlier_ones_within_bounds() {
        let planned = [STRICT; 4];
        let target = |number, words| Length::rebalanced(&planned, number, words).target;
        assert_eq!(target(0, 0), 100);
        assert_eq!(target(2, 200), 100);
        assert_eq!(target(2, 220), 90);
        assert_eq!(target(3, 290), 110);
        assert_eq!(target(3, 900), 75);
        assert_eq!(target(3, 0), 125);
        let last = Length::rebalanced(&planned, 3, 290);
        assert_eq!((last.floor, last.ceiling), (99, 121));
    }

    #[test]
    fn a_closing_paragraph_may_begin_near_the_end() {
        let long = Length {
            floor: 900,
            target: 1000,
            ceiling: 1100,
        };
        assert!(!long.may_close(800) && long.may_close(850));
        assert!(!STRICT.may_close(39) && STRICT.may_close(40));
    }
}
