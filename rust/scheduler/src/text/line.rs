//! What a line is: text, an echo of the prompt, or the beginning of another section.
//!
//! A line is looked at from its start while it grows. The verdict is given as early as it is sure, so that
//! ordinary prose is never held back for long.

use super::Surroundings;

/// Longest start of a line, in characters, for which a heading or an echo is waited for.
const LONGEST_HELD: usize = 400;
/// Lines that are taken out at the start at most: instruction, title, label and plan. A model that goes on
/// repeating has nothing else to say, and a poor section is better than an empty one.
pub(super) const MOST_ECHOES: usize = 4;
/// Shortest echo, in letters: a shorter text may begin an honest sentence.
const SHORTEST_ECHO: usize = 12;
/// Shortest title, in letters, that ends a section as a line without any decoration. "War" alone on a line
/// can be verse.
const SHORTEST_PLAIN_TITLE: usize = 8;

/// What is known of the line so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It can still become any of the others.
    Undecided,
    /// It is text from this byte on.
    Text(usize),
    /// All of it is an echo.
    Echo,
    /// It begins another section.
    NextHeading,
}

/// The texts around one section, normalised for comparison.
#[derive(Debug, Clone)]
pub(super) struct LineRules {
    enabled: bool,
    /// Its number in labels, which count from 1.
    number: u32,
    own_title: String,
    other_titles: Vec<String>,
    echoes: Vec<String>,
}

impl LineRules {
    pub(super) fn new(surroundings: &Surroundings, section: usize) -> Self {
        let mut titles: Vec<String> = surroundings
            .titles
            .iter()
            .map(|title| normalise(title))
            .collect();
        let own_title = if section < titles.len() {
            titles.remove(section)
        } else {
            String::new()
        };
        let other_titles = titles
            .into_iter()
            .filter(|title| !title.is_empty() && *title != own_title)
            .collect();
        let lines = surroundings.echoes.iter().flat_map(|echo| echo.lines());
        let echoes = lines
            .map(normalise)
            .filter(|echo| echo.chars().count() >= SHORTEST_ECHO);
        Self {
            enabled: surroundings.enabled,
            number: section as u32 + 1,
            own_title,
            other_titles,
            echoes: echoes.collect(),
        }
    }

    /// The verdict on `line`, which has no line end in it. `complete`: the line has ended. `head`: the section
    /// has no text yet.
    pub(super) fn verdict(&self, line: &str, complete: bool, head: bool) -> Verdict {
        if !self.enabled {
            return Verdict::Text(0);
        }
        let long = line.chars().count() > LONGEST_HELD;
        let verdict = if head {
            self.at_head(line, complete)
        } else {
            self.inside(line, complete)
        };
        match verdict {
            Verdict::Undecided if complete => Verdict::Text(0),
            // So long a repetition of the prompt is one, whatever its end.
            Verdict::Undecided if long && head => Verdict::Echo,
            Verdict::Undecided if long => Verdict::Text(0),
            verdict => verdict,
        }
    }

    /// Before the first text: the label, title, plan and instruction are echoes.
    fn at_head(&self, line: &str, complete: bool) -> Verdict {
        let body = undecorated(line);
        let start = line.len() - body.len();
        match label(body) {
            Label::None => self.echo_at_head(line, body, complete),
            Label::Possible if !complete => Verdict::Undecided,
            Label::Possible => Verdict::Text(0),
            // A weak label with another number may head a part of this section.
            Label::Found {
                number,
                strong: false,
                ..
            } if number != self.number => Verdict::Text(0),
            Label::Found { rest, .. } => {
                let Some(rest) = after_separator(rest) else {
                    return match (undecorated(rest).is_empty(), complete) {
                        (true, true) => Verdict::Echo,
                        (true, false) => Verdict::Undecided,
                        (false, _) => Verdict::Text(0),
                    };
                };
                let offset = start + body.len() - rest.len();
                match self.echo_at_head(line, rest, complete) {
                    Verdict::Text(_) => Verdict::Text(offset),
                    verdict => verdict,
                }
            }
        }
    }

    /// Whether `body`, the line without decoration and label, repeats what the prompt says.
    fn echo_at_head(&self, line: &str, body: &str, complete: bool) -> Verdict {
        let (number, unnumbered) = split_number(body);
        let title = normalise(if number.is_some() { unnumbered } else { body });
        let whole = normalise(line);
        let body = normalise(body);
        let fields = ["mainpoint", "title", "wordcount", "要点", "标题", "字数"];
        if complete {
            let is_field =
                fields.iter().any(|field| body.starts_with(field)) && line.contains([':', '：']);
            let is_echo = |text: &String| {
                self.echoes.iter().any(|echo| {
                    echo == text
                        || (text.chars().count() >= SHORTEST_ECHO && echo.starts_with(text))
                })
            };
            let is_title = !self.own_title.is_empty() && title == self.own_title;
            let echoed = body.is_empty()
                || is_title
                || is_field
                || is_echo(&body)
                || is_echo(&whole)
                || is_word_count(&body, line);
            return if echoed {
                Verdict::Echo
            } else {
                Verdict::Text(0)
            };
        }
        let begins = |text: &str, of: &str| of.starts_with(text);
        let open = begins(&title, &self.own_title)
            || self
                .echoes
                .iter()
                .any(|echo| begins(&body, echo) || begins(&whole, echo))
            || fields
                .iter()
                .any(|field| begins(&body, field) || body.starts_with(field))
            || may_be_word_count(&body, line)
            || may_be_number(unnumbered);
        if open {
            Verdict::Undecided
        } else {
            Verdict::Text(0)
        }
    }

    /// After the first text: another section's label or title ends this one.
    fn inside(&self, line: &str, complete: bool) -> Verdict {
        let body = undecorated(line);
        let decorated = line.trim_start().starts_with('#') || line.trim_start().starts_with("**");
        match label(body) {
            Label::Possible if !complete => return Verdict::Undecided,
            Label::Found {
                number,
                strong,
                rest,
            } if self.is_other(number, strong) => {
                if after_separator(rest).is_some() {
                    return Verdict::NextHeading;
                }
                if undecorated(rest).is_empty() {
                    return if complete {
                        Verdict::NextHeading
                    } else {
                        Verdict::Undecided
                    };
                }
            }
            _ => {}
        }
        let (number, unnumbered) = split_number(body);
        let marked = decorated || number.is_some();
        let title = normalise(unnumbered);
        let whole = normalise(body);
        let matches = |other: &String| {
            (*other == title && (marked || other.chars().count() >= SHORTEST_PLAIN_TITLE))
                || (*other == whole && other.chars().count() >= SHORTEST_PLAIN_TITLE)
        };
        if complete {
            let ends = self.other_titles.iter().any(matches);
            return if ends {
                Verdict::NextHeading
            } else {
                Verdict::Text(0)
            };
        }
        let open = self
            .other_titles
            .iter()
            .any(|other| other.starts_with(&title) || other.starts_with(&whole))
            || may_be_number(body);
        if open {
            Verdict::Undecided
        } else {
            Verdict::Text(0)
        }
    }

    /// Whether a label begins another section. "Paragraph" and "Section" are the plan's own words; a weaker
    /// one, such as "Part", may head a part of this section and has to be the very next.
    fn is_other(&self, number: u32, strong: bool) -> bool {
        if strong {
            number != self.number
        } else {
            number == self.number + 1
        }
    }
}

/// A label such as "Paragraph 3".
enum Label<'line> {
    None,
    /// The line so far could become one.
    Possible,
    Found {
        number: u32,
        strong: bool,
        rest: &'line str,
    },
}

/// Words before a number, and whether they are the plan's own.
const LABEL_WORDS: [(&str, bool); 9] = [
    ("paragraph", true),
    ("section", true),
    ("段落", true),
    ("章节", true),
    ("chapter", false),
    ("part", false),
    ("step", false),
    ("部分", false),
    ("步骤", false),
];
/// What follows the number in a label that begins with "第"; longer ones first.
const COUNTERS: [(&str, bool); 5] = [
    ("段落", true),
    ("段", true),
    ("节", true),
    ("章", false),
    ("部分", false),
];

fn label(body: &str) -> Label<'_> {
    if body.is_empty() {
        return Label::Possible;
    }
    if let Some(counted) = body.strip_prefix('第') {
        return counted_label(counted);
    }
    let mut possible = false;
    for (word, strong) in LABEL_WORDS {
        match strip_prefix_ignoring_case(body, word) {
            Ok(rest) => {
                let spaced = rest.trim_start_matches([' ', '\u{3000}']);
                if spaced.is_empty() {
                    return Label::Possible;
                }
                return match leading_number(spaced) {
                    Some((number, rest)) => Label::Found {
                        number,
                        strong,
                        rest,
                    },
                    None => Label::None,
                };
            }
            Err(is_start) => possible |= is_start,
        }
    }
    if possible {
        Label::Possible
    } else {
        Label::None
    }
}

fn counted_label(counted: &str) -> Label<'_> {
    let spaced = counted.trim_start();
    if spaced.is_empty() {
        return Label::Possible;
    }
    let Some((number, rest)) = leading_number(spaced) else {
        return Label::None;
    };
    let rest = rest.trim_start();
    if rest.is_empty() {
        return Label::Possible;
    }
    let found = COUNTERS
        .iter()
        .find_map(|(counter, strong)| Some((rest.strip_prefix(counter)?, *strong)));
    match found {
        Some((rest, strong)) => Label::Found {
            number,
            strong,
            rest,
        },
        None if COUNTERS
            .iter()
            .any(|(counter, _)| counter.starts_with(rest)) =>
        {
            Label::Possible
        }
        None => Label::None,
    }
}

/// The rest behind `prefix`, or whether `text` is a beginning of it.
fn strip_prefix_ignoring_case<'text>(text: &'text str, prefix: &str) -> Result<&'text str, bool> {
    match text.get(..prefix.len()) {
        Some(start) if start.eq_ignore_ascii_case(prefix) => Ok(&text[prefix.len()..]),
        _ => {
            let is_start = prefix
                .get(..text.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(text));
            Err(is_start)
        }
    }
}

/// A number at the start of `text`, in digits or in Chinese numerals up to 99, and what follows it.
fn leading_number(text: &str) -> Option<(u32, &str)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if digits > 0 {
        return Some((text[..digits].parse().ok()?, &text[digits..]));
    }
    let numerals = text.trim_start_matches(|c: char| NUMERALS.contains(c));
    let length = text.len() - numerals.len();
    (length > 0).then(|| (chinese_number(&text[..length]), numerals))
}

const NUMERALS: &str = "〇一二三四五六七八九十";

fn chinese_number(numerals: &str) -> u32 {
    let value = |numeral: char| NUMERALS.chars().position(|c| c == numeral).unwrap_or(0) as u32;
    match numerals.split_once('十') {
        None => numerals
            .chars()
            .fold(0, |number, numeral| number * 10 + value(numeral)),
        Some((tens, ones)) => {
            let tens = tens.chars().last().map_or(1, value);
            tens * 10 + ones.chars().next().map_or(0, value)
        }
    }
}

/// What follows a label's separator, `None` if there is no separator.
fn after_separator(rest: &str) -> Option<&str> {
    let rest = rest.trim_start_matches(is_decoration);
    let first = rest.chars().next()?;
    let after = &rest[first.len_utf8()..];
    let separates = match first {
        ':' | '：' | '–' | '—' | '、' => true,
        // "Section 4-b" and "Section 4.2" are no labels.
        '-' | '.' => after.is_empty() || after.starts_with([' ', '*', '_']),
        _ => false,
    };
    separates.then(|| after.trim_start_matches(is_decoration))
}

/// A list number at the start ("3.", "3)", "三、"), and the rest.
fn split_number(text: &str) -> (Option<u32>, &str) {
    if let Some((number, rest)) = leading_number(text)
        && let Some(rest) = rest.strip_prefix(['.', ')', '、', '．', '）', ':', '：'])
    {
        return (Some(number), rest.trim_start());
    }
    (None, text)
}

/// Whether `text` could become a list number.
fn may_be_number(text: &str) -> bool {
    matches!(leading_number(text), Some((_, "")))
}

/// Whether the line is no more than a remark on its length, such as "(200 words)".
fn is_word_count(normalised: &str, line: &str) -> bool {
    let rest = normalised.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < normalised.len()
        && matches!(rest, "words" | "word" | "字")
        && line
            .trim_start_matches(is_decoration)
            .starts_with(['(', '（', '['])
}

fn may_be_word_count(normalised: &str, line: &str) -> bool {
    let rest = normalised.trim_start_matches(|c: char| c.is_ascii_digit());
    line.trim_start_matches(is_decoration)
        .starts_with(['(', '（', '['])
        && ("words".starts_with(rest) || "字".starts_with(rest))
}

/// The line without Markdown marks, quotes and blanks in front.
fn undecorated(line: &str) -> &str {
    line.trim_start_matches(is_decoration)
}

fn is_decoration(character: char) -> bool {
    matches!(
        character,
        '#' | '*' | '_' | '>' | '`' | '"' | '“' | '”' | ' ' | '\t' | '\u{3000}'
    )
}

/// Letters and digits alone, in lower case: what makes two lines the same to a reader.
fn normalise(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}
