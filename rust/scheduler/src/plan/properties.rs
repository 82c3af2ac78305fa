//! What holds for any plan and any text.

use proptest::prelude::*;

use super::*;

/// Texts with many of the marks that formats give a meaning.
fn lively_text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,40}",
        r"[-*+#<>_\\()\[\]:：（）.,~0-9a-z 段字words\t]{0,40}",
        "(# |- |1\\. |\\\\)?(Rome|罗马|\\*\\*Rome\\*\\*) ?[(（-] ?~?[0-9]{1,4}(-[0-9]{1,3})? ?(words|字|k)?[)）]?",
    ]
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let section = (
        lively_text(),
        lively_text(),
        prop::option::of(1..=MAX_WORDS),
    )
        .prop_map(|(title, point, words)| PlanSection {
            title,
            point,
            words,
            repeats: None,
        });
    (lively_text(), prop::collection::vec(section, 1..8))
        .prop_filter_map("a section says something", |(title, sections)| {
            Plan::new(title, sections).ok()
        })
}

/// Lines of outlines in every format, mixed.
fn any_outline() -> impl Strategy<Value = String> {
    let start = prop::sample::select(vec![
        "",
        "  ",
        "\t",
        "- ",
        "1. ",
        "2) ",
        "   - ",
        "# ",
        "## ",
        "### ",
        "**",
        "Paragraph 1 - ",
        "Paragraph 1: ",
        "第2段：",
        "段落三 ",
        "Title: ",
        "Main Point: ",
        "字数：",
        "Word Count: ",
        "<!-- longwriter-edge plan: -->\n## ",
        "> ",
        "```",
        "---",
        "\r\n",
        "\u{feff}",
        "一、",
        "IV. ",
    ]);
    let line = (start, lively_text()).prop_map(|(start, text)| format!("{start}{text}"));
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

fn check(plan: &Plan) {
    assert!((1..=MAX_SECTIONS).contains(&plan.sections.len()));
    for (index, section) in plan.sections.iter().enumerate() {
        for (text, limit) in [
            (&section.title, MAX_TITLE_CHARACTERS),
            (&section.point, MAX_POINT_CHARACTERS),
        ] {
            assert!(!text.trim().is_empty() && text.trim() == text);
            assert!(text.chars().count() <= limit && !text.contains(char::is_control));
        }
        assert!(
            section
                .words
                .is_none_or(|words| (1..=MAX_WORDS).contains(&words))
        );
        assert!(section.repeats.is_none_or(|earlier| earlier < index));
    }
    assert!(!plan.title.contains(char::is_control));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_valid_plan_or_an_error(text in prop_oneof![any::<String>(), any_outline()]) {
        if let Ok(plan) = Plan::parse(&text) {
            check(&plan);
        }
    }

    #[test]
    fn markdown_reads_back_unchanged(plan in any_plan()) {
        let plan = Plan { notes: Vec::new(), ..plan };
        prop_assert_eq!(Plan::parse(&plan.to_markdown()).unwrap(), plan);
    }

    #[test]
    fn a_checked_plan_stays_the_same_when_it_is_checked_again(plan in any_plan()) {
        let again = Plan::new(plan.title.clone(), plan.sections.clone()).unwrap();
        prop_assert_eq!(again.sections, plan.sections);
        prop_assert!(again.notes.is_empty());
    }

    #[test]
    fn targets_sum_to_the_total(plan in any_plan(), total in 1..=MAX_WORDS) {
        prop_assume!(total as usize >= plan.sections.len());
        let scaled = plan.rescaled(total).unwrap();
        let targets: Vec<u32> = scaled.sections.iter().filter_map(|section| section.words).collect();
        prop_assert_eq!(targets.len(), plan.sections.len());
        prop_assert_eq!(targets.iter().sum::<u32>(), total);
        prop_assert!(targets.iter().all(|&words| words > 0));
        prop_assert_eq!(scaled.rescaled(total).unwrap(), scaled);
    }
}

proptest! {
    // A text has up to 200 lines.
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn texts_of_the_grammar_have_their_sections(
        (fewest, most) in prop_oneof![Just((1, 1)), Just((3, 5)), Just((17, 50)), Just((50, 200))],
        chinese in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let language = if chinese { Language::Chinese } else { Language::English };
        let text = derivation::any_text(&grammar(fewest, most, language), seed);
        let plan = Plan::parse(&text).unwrap();
        check(&plan);
        prop_assert_eq!(plan.sections.len(), text.lines().count() - 1, "{}", text);
        prop_assert!((fewest..=most).contains(&plan.sections.len()));
        prop_assert_eq!(&plan.notes, &Vec::<String>::new());
        prop_assert!(plan.sections.iter().all(|section| section.words.is_some_and(|words| words >= 100)));
        // What a model chose stays as it is: nothing of a title or point is taken for something else.
        for (line, section) in text.lines().skip(1).zip(&plan.sections) {
            prop_assert!(line.contains(section.title.as_str()) && line.contains(section.point.as_str()));
        }
    }
}

/// Texts of a grammar at random, from the subset of GBNF that ours uses.
mod derivation {
    use std::collections::HashMap;

    pub(super) fn any_text(grammar: &str, seed: u64) -> String {
        let rules = grammar
            .lines()
            .filter_map(|line| line.split_once(" ::= "))
            .collect();
        let mut derivation = Derivation {
            rules,
            state: seed | 1,
            text: String::new(),
        };
        derivation.alternatives("root");
        derivation.text
    }

    struct Derivation<'g> {
        rules: HashMap<&'g str, &'g str>,
        state: u64,
        text: String,
    }

    impl Derivation<'_> {
        /// A number below `bound` (xorshift64, Marsaglia 2003).
        fn draw(&mut self, bound: u64) -> u64 {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
        }

        fn alternatives(&mut self, rule: &str) {
            let choices: Vec<&str> = split(self.rules[rule], '|');
            let choice = choices[self.draw(choices.len() as u64) as usize].trim();
            for item in split(choice, ' ') {
                self.item(item);
            }
        }

        fn item(&mut self, item: &str) {
            if let Some(optional) = item.strip_prefix('(') {
                if self.draw(20) > 0 {
                    for item in split(optional.trim_end_matches(")?"), ' ') {
                        self.item(item);
                    }
                }
            } else if let Some(literal) = item.strip_prefix('"') {
                self.text += &literal[..literal.len() - 1].replace("\\n", "\n");
            } else if let Some(class) = item.strip_prefix('[') {
                let character = self.character(&class[..class.len() - 1]);
                self.text.push(character);
            } else if let Some((rule, range)) = item.split_once('{') {
                let (least, most) = range.trim_end_matches('}').split_once(',').unwrap();
                let (least, most): (u64, u64) = (least.parse().unwrap(), most.parse().unwrap());
                for _ in 0..least + self.draw(most - least + 1) {
                    self.alternatives(rule);
                }
            } else {
                self.alternatives(item);
            }
        }

        /// A character of the class, mostly of those that could be taken for something else.
        fn character(&mut self, class: &str) -> char {
            let (class, negated) = class
                .strip_prefix('^')
                .map_or((class, false), |rest| (rest, true));
            let ranges = ranges(class);
            let admits = |c: char| ranges.iter().any(|range| range.contains(&c)) != negated;
            if !negated {
                let range = &ranges[self.draw(ranges.len() as u64) as usize];
                let width = u64::from(*range.end()) - u64::from(*range.start()) + 1;
                return char::from_u32(u32::from(*range.start()) + self.draw(width) as u32)
                    .unwrap();
            }
            let likely: Vec<char> = " -–—.,;，；、。()（）!?+=/\"'1234 words字段Title标题e要点éé罗"
                .chars()
                .collect();
            loop {
                let any = char::from_u32(self.draw(0x11_0000) as u32);
                let drawn = if self.draw(8) == 0 {
                    any
                } else {
                    Some(likely[self.draw(likely.len() as u64) as usize])
                };
                if let Some(character) = drawn.filter(|&c| admits(c)) {
                    return character;
                }
            }
        }
    }

    fn ranges(class: &str) -> Vec<std::ops::RangeInclusive<char>> {
        let mut characters = Vec::new();
        let mut rest = class.chars();
        while let Some(character) = rest.next() {
            let is_escape = character == '\\';
            let character = if is_escape {
                escape(&mut rest)
            } else {
                character
            };
            characters.push((character, !is_escape && character == '-'));
        }
        let mut ranges = Vec::new();
        let mut at = 0;
        while let Some(&(first, _)) = characters.get(at) {
            match characters.get(at + 1..at + 3) {
                Some(&[(_, true), (last, _)]) => {
                    ranges.push(first..=last);
                    at += 3;
                }
                _ => {
                    ranges.push(first..=first);
                    at += 1;
                }
            }
        }
        ranges
    }

    fn escape(rest: &mut std::str::Chars<'_>) -> char {
        let kind = rest.next().unwrap();
        let digits = match kind {
            'x' => 2,
            'u' => 4,
            other => return other,
        };
        let code: String = rest.by_ref().take(digits).collect();
        char::from_u32(u32::from_str_radix(&code, 16).unwrap()).unwrap()
    }

    /// Parts of `text` between `separator`s that are not in quotes, classes or groups.
    fn split(text: &str, separator: char) -> Vec<&str> {
        let mut parts = Vec::new();
        let (mut start, mut depth, mut closing, mut escaped) = (0, 0, None, false);
        for (at, character) in text.char_indices() {
            match (closing, character) {
                _ if escaped => escaped = false,
                (Some(_), '\\') => escaped = true,
                (Some(close), _) if character == close => closing = None,
                (Some(_), _) => {}
                (None, '"') => closing = Some('"'),
                (None, '[') => closing = Some(']'),
                (None, '(') => depth += 1,
                (None, ')') => depth -= 1,
                (None, _) if character == separator && depth == 0 => {
                    parts.push(&text[start..at]);
                    start = at + character.len_utf8();
                }
                (None, _) => {}
            }
        }
        parts.push(&text[start..]);
        parts.into_iter().filter(|part| !part.is_empty()).collect()
    }
}
