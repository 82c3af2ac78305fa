//! Targets that sum to the document's total.

use super::{MAX_WORDS, Plan, PlanError};

/// Targets stay within this factor of their mean, both ways, before they are scaled.
const MOST_DISTORTION: u128 = 4;

pub(super) fn rescaled(plan: &Plan, total: u32) -> Result<Plan, PlanError> {
    let count = plan.sections.len();
    if !(1..=MAX_WORDS).contains(&total) {
        return Err(PlanError::TotalWords { total });
    }
    if (total as usize) < count {
        return Err(PlanError::TooFewWords {
            total,
            sections: count,
        });
    }
    let mut plan = plan.clone();
    let wanted: Vec<Option<u32>> = plan.sections.iter().map(|section| section.words).collect();
    let is_complete = wanted.iter().all(Option::is_some);
    if is_complete
        && wanted
            .iter()
            .flatten()
            .map(|&words| u64::from(words))
            .sum::<u64>()
            == u64::from(total)
    {
        return Ok(plan);
    }
    let (weights, clamped) = weights(&wanted);
    if clamped > 0 {
        plan.notes.push(format!(
            "{clamped} of the targets were far from the others and were brought closer to them"
        ));
    }
    for (section, words) in plan.sections.iter_mut().zip(shares(&weights, total)) {
        section.words = Some(words);
    }
    Ok(plan)
}

/// What each section weighs, and how many were clamped. Sections without a target get the mean of the others.
///
/// Weights are multiples of a small fraction of a word, so that means and quarters stay whole numbers.
fn weights(wanted: &[Option<u32>]) -> (Vec<u128>, usize) {
    let known: Vec<u128> = wanted
        .iter()
        .flatten()
        .map(|&words| u128::from(words))
        .collect();
    let known_count = known.len().max(1) as u128;
    // The mean of all is the mean of the known ones, since the others get just that.
    let mean_numerator = known.iter().sum::<u128>().max(1);
    let lowest = mean_numerator;
    let highest = mean_numerator * MOST_DISTORTION * MOST_DISTORTION;
    let mut clamped = 0;
    let weigh = |words: &Option<u32>| {
        let Some(words) = words else {
            return mean_numerator * MOST_DISTORTION;
        };
        let weight = u128::from(*words) * known_count * MOST_DISTORTION;
        let bounded = weight.clamp(lowest, highest);
        clamped += usize::from(bounded != weight);
        bounded
    };
    let weights = wanted.iter().map(weigh).collect();
    (weights, clamped)
}

/// Whole shares of `total` by the method of largest remainders, each at least 1. `total` is at least the number of weights.
fn shares(weights: &[u128], total: u32) -> Vec<u32> {
    let sum: u128 = weights.iter().sum();
    let quotas = weights.iter().map(|weight| weight * u128::from(total));
    let (mut shares, remainders): (Vec<u32>, Vec<u128>) = quotas
        .map(|quota| ((quota / sum) as u32, quota % sum))
        .unzip();
    let left = total - shares.iter().sum::<u32>();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(remainders[index]));
    for &index in order.iter().take(left as usize) {
        shares[index] += 1;
    }
    while let Some(empty) = shares.iter().position(|&share| share == 0) {
        let largest = (0..shares.len())
            .max_by_key(|&index| shares[index])
            .unwrap_or(empty);
        shares[largest] -= 1;
        shares[empty] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::super::PlanSection;
    use super::*;

    fn plan(words: &[Option<u32>]) -> Plan {
        let section = |(index, &words): (usize, &Option<u32>)| PlanSection {
            title: format!("Title {index}"),
            point: format!("Point {index}"),
            words,
            repeats: None,
        };
        Plan::new(
            "Rome".into(),
            words.iter().enumerate().map(section).collect(),
        )
        .unwrap()
    }

    fn targets(plan: &Plan) -> Vec<u32> {
        plan.sections
            .iter()
            .filter_map(|section| section.words)
            .collect()
    }

    #[test]
    fn proportions_are_kept_and_the_sum_is_exact() {
        let scaled = plan(&[Some(300), Some(300), Some(400)])
            .rescaled(1_001)
            .unwrap();
        assert_eq!(targets(&scaled), [300, 300, 401]);
        let thirds = plan(&[Some(1), Some(1), Some(1)]).rescaled(1_000).unwrap();
        assert_eq!(targets(&thirds), [334, 333, 333]);
    }

    #[test]
    fn sections_without_a_target_get_the_mean() {
        let mixed = plan(&[Some(200), None, Some(400)]).rescaled(900).unwrap();
        assert_eq!(targets(&mixed), [200, 300, 400]);
        let open = plan(&[None, None]).rescaled(1_001).unwrap();
        assert_eq!(targets(&open), [501, 500]);
    }

    #[test]
    fn a_wild_target_starves_no_other_section() {
        let wild = plan(&[Some(10), Some(9_999), Some(10), Some(10)])
            .rescaled(1_900)
            .unwrap();
        assert_eq!(targets(&wild), [101, 1_599, 100, 100]);
        assert_eq!(wild.notes.len(), 1);
    }

    #[test]
    fn a_plan_that_has_the_total_stays_as_it_is() {
        let uneven = plan(&[Some(10), Some(990)]);
        assert_eq!(uneven.rescaled(1_000).unwrap(), uneven);
    }

    #[test]
    fn every_section_gets_a_word() {
        let tight = plan(&[Some(1), Some(40), Some(40), Some(1)])
            .rescaled(4)
            .unwrap();
        assert_eq!(targets(&tight), [1, 1, 1, 1]);
    }

    #[test]
    fn totals_that_cannot_be_shared_are_refused() {
        let two = plan(&[None, None]);
        assert_eq!(
            two.rescaled(1),
            Err(PlanError::TooFewWords {
                total: 1,
                sections: 2
            })
        );
        assert_eq!(two.rescaled(0), Err(PlanError::TotalWords { total: 0 }));
        assert_eq!(
            two.rescaled(MAX_WORDS + 1),
            Err(PlanError::TotalWords {
                total: MAX_WORDS + 1
            })
        );
    }
}
