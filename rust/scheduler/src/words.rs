//! Counts words while text grows: the benchmark's way for scores, a reader's way for display.

use std::sync::LazyLock;

use regex::Regex;

/// Words of a text, counted two ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WordCounts {
    /// What a reader would count: each CJK character, and words with their digits, accents, inner
    /// apostrophes and hyphens.
    pub reader: u32,
    /// As LongBench-Write counts (LongWriter, evaluation/eval_length.py): characters of `[\u4e00-\u9fff]` plus
    /// matches of Python's `\b[a-zA-Z]+\b`.
    pub benchmark: u32,
}

/// Counts a text that comes in pieces, in time proportional to the new text. Where the text is split makes
/// no difference.
#[derive(Debug, Clone, Default)]
pub struct WordCounter {
    counts: WordCounts,
    reader: ReaderState,
    /// The run of word characters at the end: whether all of them are ASCII letters.
    run: Option<bool>,
}

/// What the reader's count has just seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ReaderState {
    /// No word.
    #[default]
    Outside,
    /// A word whose last character is this.
    Word(char),
    /// A word's last character and a mark that goes on with it if the right character follows.
    Joiner(char, char),
}

/// Counts a whole text.
#[must_use]
pub fn count(text: &str) -> WordCounts {
    let mut counter = WordCounter::default();
    counter.push(text);
    counter.counts()
}

impl WordCounter {
    /// Adds text.
    pub fn push(&mut self, text: &str) {
        for character in text.chars() {
            self.push_benchmark(character);
            self.push_reader(character);
        }
    }

    /// The counts so far; a word at the end counts as if the text ended there.
    #[must_use]
    pub fn counts(&self) -> WordCounts {
        let open = u32::from(self.run == Some(true));
        WordCounts {
            benchmark: self.counts.benchmark + open,
            ..self.counts
        }
    }

    fn push_benchmark(&mut self, character: char) {
        if ('\u{4e00}'..='\u{9fff}').contains(&character) {
            self.counts.benchmark += 1;
        }
        // Python's \w, but for marks of some scripts, which Rust counts as letters.
        if character.is_alphanumeric() || character == '_' {
            self.run = Some(self.run.unwrap_or(true) && character.is_ascii_alphabetic());
        } else if self.run.take() == Some(true) {
            self.counts.benchmark += 1;
        }
    }

    fn push_reader(&mut self, character: char) {
        self.reader = if stands_alone(character) {
            self.counts.reader += 1;
            ReaderState::Outside
        } else if character.is_alphanumeric() {
            let goes_on = match self.reader {
                ReaderState::Outside => false,
                ReaderState::Word(_) => true,
                ReaderState::Joiner(before, joiner) => joins(before, joiner, character),
            };
            self.counts.reader += u32::from(!goes_on);
            ReaderState::Word(character)
        } else if is_transparent(character) {
            self.reader
        } else {
            match self.reader {
                ReaderState::Word(before) if is_joiner(character) => {
                    ReaderState::Joiner(before, character)
                }
                _ => ReaderState::Outside,
            }
        };
    }
}

/// Whether a character is a word of its own: ideographs and kana.
fn stands_alone(character: char) -> bool {
    matches!(character,
        '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}' | '\u{31f0}'..='\u{31ff}'
        | '\u{3005}' | '\u{3007}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Marks on the character before, which neither begin nor end a word: accents and vowel signs, joiners,
/// variation selectors, soft hyphens.
fn is_transparent(character: char) -> bool {
    static MARK: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^[\p{M}\u{ad}\u{200c}\u{200d}]").expect("the pattern is a constant")
    });
    !character.is_ascii() && MARK.is_match(character.encode_utf8(&mut [0; 4]))
}

fn is_joiner(character: char) -> bool {
    matches!(
        character,
        '\'' | '\u{2019}' | '-' | '\u{2010}' | '\u{2011}' | '.' | ',' | '_'
    )
}

/// Whether `joiner` between two characters keeps them in one word: "don't", "well-kept", "3.14",
/// "10,000", but not "e.g." or "one,two".
fn joins(before: char, joiner: char, after: char) -> bool {
    match joiner {
        '.' | ',' => before.is_numeric() && after.is_numeric(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reader(text: &str) -> u32 {
        count(text).reader
    }

    fn benchmark(text: &str) -> u32 {
        count(text).benchmark
    }

    #[test]
    fn a_reader_counts_words_with_their_inner_marks() {
        assert_eq!(reader("It's the sailor’s well-kept boat."), 5);
        assert_eq!(reader("In 1492, 3.14 and 10,000 are numbers"), 7);
        assert_eq!(reader("Café cafe\u{301} naïve"), 3);
        assert_eq!(reader("one,two;three... four"), 4);
        assert_eq!(reader("Привет мир, 안녕하세요"), 3);
        assert_eq!(reader("हिन्दी भाषा"), 2, "vowel signs and virama");
        assert_eq!(reader("- * # 'quoted' —"), 1);
        assert_eq!(reader(""), 0);
    }

    #[test]
    fn a_reader_counts_each_chinese_and_japanese_character() {
        assert_eq!(reader("罗马帝国的历史。"), 7);
        assert_eq!(reader("使用Python编程"), 5);
        assert_eq!(reader("カタカナとひらがな"), 9);
    }

    #[test]
    fn the_benchmark_counts_latin_runs_between_word_boundaries() {
        assert_eq!(benchmark("The Roman Empire, 27 BC"), 4);
        assert_eq!(benchmark("don't"), 2);
        assert_eq!(benchmark("café abc123 snake_case"), 0);
        assert_eq!(benchmark("使用Python编程"), 4);
        assert_eq!(benchmark("使用 Python 编程"), 5);
        assert_eq!(benchmark("word"), 1, "a word at the very end");
    }

    proptest! {
        #[test]
        fn the_place_of_a_split_makes_no_difference(text in "[a-z0-9 '’.,\\-_éß罗马の\n]{0,60}", at in 0..60_usize) {
            let at = text.char_indices().map(|(at, _)| at).nth(at).unwrap_or(text.len());
            let mut counter = WordCounter::default();
            counter.push(&text[..at]);
            counter.push(&text[at..]);
            prop_assert_eq!(counter.counts(), count(&text));
        }

        #[test]
        fn plain_words_count_the_same_both_ways(words in prop::collection::vec("[a-zA-Z]{1,9}", 0..30)) {
            let counts = count(&words.join(" "));
            prop_assert_eq!(counts.reader as usize, words.len());
            prop_assert_eq!(counts.benchmark as usize, words.len());
        }
    }
}
