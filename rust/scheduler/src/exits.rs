//! Ways to end a text other than ending the turn: what they look like at the beginning of a line.
//!
//! A model whose end of turn is banned closes the text by other means and then has nothing left to say.

/// Phrases that begin the closing paragraph, in lower case.
const CLOSINGS: [&str; 13] = [
    "in conclusion",
    "to conclude",
    "in summary",
    "to summarize",
    "to summarise",
    "to sum up",
    "in closing",
    "总之",
    "总而言之",
    "综上所述",
    "总的来说",
    "最后总结",
    "结论",
];
/// Lines that end a text, letters only, in lower case.
const ENDS: [&str; 10] = [
    "theend",
    "end",
    "fin",
    "finis",
    "endofsection",
    "endofdocument",
    "全文完",
    "完",
    "全文终",
    "本文完",
];
/// Beginnings of remarks to the reader of the answer, in lower case.
const REMARKS: [&str; 12] = [
    "to be continued",
    "let me know if",
    "please let me know",
    "would you like me to",
    "do you want me to",
    "i hope this helps",
    "i hope this meets",
    "word count:",
    "total words:",
    "未完待续",
    "字数：",
    "希望这",
];
/// Parts of titles whose section closes the text by right, in lower case.
const CLOSING_TITLES: [&str; 12] = [
    "conclu",
    "summary",
    "closing",
    "epilogue",
    "afterword",
    "final",
    "outlook",
    "总结",
    "结语",
    "结论",
    "尾声",
    "后记",
];

/// A way to end a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// A closing paragraph begins.
    Closing,
    /// A line such as "The End", or a remark to the reader.
    End,
}

/// The way out that begins with this line, of which the beginning is enough. `complete`: it has ended.
#[must_use]
pub fn exit(line: &str, complete: bool) -> Option<Exit> {
    let line = line.trim_start_matches(|c: char| !c.is_alphanumeric());
    let begins = |phrases: &[&str]| phrases.iter().any(|phrase| begins_with(line, phrase));
    if begins(&CLOSINGS) {
        return Some(Exit::Closing);
    }
    let letters = || -> String { line.chars().filter(|c| c.is_alphanumeric()).collect() };
    let ends = || ENDS.contains(&letters().to_lowercase().as_str());
    (begins(&REMARKS) || (complete && ends())).then_some(Exit::End)
}

/// Whether a section of this title may close the text.
#[must_use]
pub fn closes_by_title(title: &str) -> bool {
    let title = title.to_lowercase();
    CLOSING_TITLES.iter().any(|part| title.contains(part))
}

/// Whether the line begins with the phrase, as whole words.
fn begins_with(line: &str, phrase: &str) -> bool {
    let mut rest = line.chars();
    for expected in phrase.chars() {
        match rest.next() {
            Some(found) if found == expected || found.to_lowercase().eq([expected]) => {}
            _ => return false,
        }
    }
    let goes_on = rest.next().is_some_and(|next| next.is_ascii_alphanumeric());
    !goes_on || !phrase.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_out_are_recognised_at_the_beginning_of_a_line() {
        for (line, complete, expected) in [
            ("In conclusion, the sea", false, Some(Exit::Closing)),
            ("**In Summary**: the sea", false, Some(Exit::Closing)),
            ("综上所述，海", false, Some(Exit::Closing)),
            ("The End", true, Some(Exit::End)),
            ("***THE END***", true, Some(Exit::End)),
            ("（全文完）", true, Some(Exit::End)),
            ("(To be continued...)", false, Some(Exit::End)),
            ("Let me know if you", false, Some(Exit::End)),
            ("The End", false, None),
            ("The end of the war came", true, None),
            ("In conclusions like these", false, None),
            ("In con", false, None),
            ("The sea is wide.", true, None),
            ("", true, None),
        ] {
            assert_eq!(exit(line, complete), expected, "{line:?}");
        }
    }

    #[test]
    fn a_conclusion_closes_by_its_title() {
        assert!(closes_by_title("Conclusion and Outlook") && closes_by_title("结语"));
        assert!(!closes_by_title("The Republic"));
    }
}
