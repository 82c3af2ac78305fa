//! The last draw of sampling: a counter-based generator and the choice of one candidate.
//!
//! A stateful generator would have to be saved with every token. This one is a function of where
//! the token stands, so a resumed run draws what it would have drawn.

use crate::backend::{Candidate, SampleError, Token};

/// Where in all documents a draw happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrawKey {
    /// The user's seed.
    pub seed: u64,
    /// The document's stream, so that documents of one run differ.
    pub stream: u32,
    /// The section's number.
    pub section: u16,
    /// The attempt at this section or plan; another attempt draws other tokens.
    pub attempt: u16,
    /// The number of tokens that were sampled before in this section.
    pub index: u32,
}

impl DrawKey {
    /// A number in [0, 1) with 53 random bits.
    #[must_use]
    pub fn uniform(self) -> f64 {
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        let place = u32::from(self.section) | u32::from(self.attempt) << 16;
        let [low, high, ..] = philox4x32([self.index, place, self.stream, 0], key);
        let bits = (u64::from(high) << 32 | u64::from(low)) >> 11;
        bits as f64 * (1.0 / (1_u64 << 53) as f64)
    }
}

/// Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
/// SC 2011, section 4.3): ten rounds of multiplication and exclusive or on a 128-bit counter.
fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let first = MULTIPLIERS[0] * u64::from(counter[0]);
        let second = MULTIPLIERS[1] * u64::from(counter[2]);
        counter = [
            (second >> 32) as u32 ^ counter[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
    }
    counter
}

/// The candidate at `uniform` (in [0, 1)) of the softmax over the candidates' logits.
///
/// # Errors
/// [`SampleError::NoCandidates`] if nothing is left, [`SampleError::NotFinite`] for a logit that is
/// NaN or positive infinity.
pub fn choose(candidates: &[Candidate], uniform: f64) -> Result<Token, SampleError> {
    let mut highest = f32::NEG_INFINITY;
    for candidate in candidates {
        if candidate.logit.is_nan() || candidate.logit == f32::INFINITY {
            return Err(SampleError::NotFinite {
                token: candidate.token,
            });
        }
        highest = highest.max(candidate.logit);
    }
    if highest == f32::NEG_INFINITY {
        return Err(SampleError::NoCandidates);
    }
    let weight = |candidate: &Candidate| f64::from(candidate.logit - highest).exp();
    let target = uniform * candidates.iter().map(weight).sum::<f64>();
    let mut passed = 0.0;
    let mut chosen = None;
    for candidate in candidates
        .iter()
        .filter(|candidate| candidate.logit > f32::NEG_INFINITY)
    {
        passed += weight(candidate);
        // Rounding may leave `passed` just below `target` at the end: the last one then stays.
        chosen = Some(candidate.token);
        if passed > target {
            break;
        }
    }
    chosen.ok_or(SampleError::NoCandidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(logits: &[f32]) -> Vec<Candidate> {
        (0..)
            .zip(logits)
            .map(|(token, &logit)| Candidate { token, logit })
            .collect()
    }

    #[test]
    fn philox_gives_the_published_known_answers() {
        // Vectors of Random123's kat_vectors, philox4x32 with 10 rounds.
        assert_eq!(
            philox4x32([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox4x32([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn every_part_of_the_key_changes_the_draw() {
        let key = DrawKey {
            seed: 1,
            stream: 2,
            section: 3,
            attempt: 4,
            index: 5,
        };
        let others = [
            DrawKey { seed: 9, ..key },
            DrawKey {
                seed: 1 << 40 | 1,
                ..key
            },
            DrawKey { stream: 9, ..key },
            DrawKey { section: 9, ..key },
            DrawKey { attempt: 9, ..key },
            DrawKey { index: 9, ..key },
        ];
        for other in others {
            assert!((key.uniform() - other.uniform()).abs() > 1e-9, "{other:?}");
        }
        assert!((key.uniform() - key.uniform()).abs() < f64::EPSILON);
    }

    #[test]
    fn draws_follow_the_softmax() {
        let offered = candidates(&[0.0, f32::NEG_INFINITY, 3.0_f32.ln()]);
        let draws = 20_000;
        let mut counts = [0_u32; 3];
        for index in 0..draws {
            let key = DrawKey {
                seed: 7,
                stream: 0,
                section: 0,
                attempt: 0,
                index,
            };
            counts[choose(&offered, key.uniform()).unwrap() as usize] += 1;
        }
        assert_eq!(counts[1], 0);
        let share = f64::from(counts[2]) / f64::from(draws);
        assert!((share - 0.75).abs() < 0.02, "{share}");
    }

    #[test]
    fn the_ends_of_the_unit_interval_give_the_first_and_the_last_possible_candidate() {
        let offered = candidates(&[f32::NEG_INFINITY, 1.0, 1.0, f32::NEG_INFINITY]);
        assert_eq!(choose(&offered, 0.0), Ok(1));
        assert_eq!(choose(&offered, 1.0 - f64::EPSILON), Ok(2));
    }

    #[test]
    fn impossible_and_broken_candidates_are_named() {
        assert_eq!(choose(&[], 0.5), Err(SampleError::NoCandidates));
        assert_eq!(
            choose(&candidates(&[f32::NEG_INFINITY]), 0.5),
            Err(SampleError::NoCandidates)
        );
        assert_eq!(
            choose(&candidates(&[0.0, f32::NAN]), 0.5),
            Err(SampleError::NotFinite { token: 1 })
        );
        assert_eq!(
            choose(&candidates(&[f32::INFINITY]), 0.5),
            Err(SampleError::NotFinite { token: 0 })
        );
    }
}
