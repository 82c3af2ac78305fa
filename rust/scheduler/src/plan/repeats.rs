//! Sections whose main point was made before.

use super::clean::is_cjk;

/// Share of common words from which two points count as one. Small models repeat a point with one
/// word exchanged, which keeps at least 0.8 from ten words on; points that merely share a pattern
/// ("The reign of Nero and its end") differ in the words that matter and stay below.
const NEARLY_EQUAL: f64 = 0.8;
/// Fewer words than this say too little to be compared by their share.
const FEWEST_WORDS: usize = 4;

struct Words {
    sequence: Vec<String>,
    set: Vec<String>,
}

/// For each point the index of the first earlier one that is the same or nearly the same, without
/// regard to case, punctuation and spaces. A Chinese character counts as a word.
pub(super) fn find(points: &[&str]) -> Vec<Option<usize>> {
    let words: Vec<Words> = points.iter().map(|point| split(point)).collect();
    let earlier = |index: usize| (0..index).find(|&first| is_same(&words[first], &words[index]));
    (0..words.len()).map(earlier).collect()
}

fn split(point: &str) -> Words {
    let mut sequence = Vec::new();
    let mut word = String::new();
    for character in point.chars().flat_map(char::to_lowercase) {
        if character.is_alphanumeric() && !is_cjk(character) {
            word.push(character);
            continue;
        }
        if !word.is_empty() {
            sequence.push(std::mem::take(&mut word));
        }
        if is_cjk(character) {
            sequence.push(character.to_string());
        }
    }
    if !word.is_empty() {
        sequence.push(word);
    }
    let mut set = sequence.clone();
    set.sort_unstable();
    set.dedup();
    Words { sequence, set }
}

fn is_same(one: &Words, other: &Words) -> bool {
    if one.sequence == other.sequence {
        return true;
    }
    if one.set.len() < FEWEST_WORDS || other.set.len() < FEWEST_WORDS {
        return false;
    }
    let common = one
        .set
        .iter()
        .filter(|word| other.set.binary_search(word).is_ok())
        .count();
    let all = one.set.len() + other.set.len() - common;
    common as f64 >= NEARLY_EQUAL * all as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_punctuation_and_spaces_make_no_difference() {
        assert_eq!(
            find(&["The fall of Rome", "the FALL, of  Rome."]),
            [None, Some(0)]
        );
        assert_eq!(find(&["罗马的衰落", "罗马的 衰落。"]), [None, Some(0)]);
    }

    #[test]
    fn one_exchanged_word_of_many_is_nearly_equal() {
        let one = "How the long wars of the late empire ruined its farms and towns";
        let other = "How the long wars of the late empire emptied its farms and towns";
        assert_eq!(find(&[one, "Something else", other]), [None, None, Some(0)]);
        assert_eq!(
            find(&["罗马帝国的建立与早期发展", "罗马帝国的建立和早期发展"]),
            [None, Some(0)]
        );
    }

    #[test]
    fn points_of_one_pattern_are_different() {
        assert_eq!(
            find(&["The reign of Nero", "The reign of Trajan"]),
            [None, None]
        );
        assert_eq!(
            find(&["Rome", "Greece", "Rome and Greece"]),
            [None, None, None]
        );
    }

    #[test]
    fn every_repeat_points_to_the_first() {
        assert_eq!(find(&["Rome", "Rome", "Rome"]), [None, Some(0), Some(0)]);
    }
}
