//! The grammar that holds a model to a plan which can be read (GBNF, llama.cpp's grammars/README.md).

use std::fmt::Write;

use super::Language;

/// The words of the line format. LongWriter's models were trained on plans with these labels, except for
/// the title, which the format does not have (LongWriter, agentwrite/prompts/plan.txt).
pub(super) struct Labels {
    pub(super) document: &'static str,
    pub(super) section: &'static str,
    pub(super) title: &'static str,
    pub(super) point: &'static str,
    pub(super) words: &'static str,
    pub(super) unit: &'static str,
}

impl Labels {
    pub(super) fn of(language: Language) -> Self {
        match language {
            Language::English => Self {
                document: "Title: ",
                section: "Paragraph ",
                title: " - Title: ",
                point: " - Main Point: ",
                words: " - Word Count: ",
                unit: " words",
            },
            Language::Chinese => Self {
                document: "标题：",
                section: "段落",
                title: " - 标题：",
                point: " - 要点：",
                words: " - 字数：",
                unit: "字",
            },
        }
    }
}

/// Least and most characters after the first of titles and points. Chinese says as much in fewer.
fn lengths(language: Language) -> [(usize, usize); 2] {
    match language {
        Language::English => [(2, 59), (19, 299)],
        Language::Chinese => [(1, 29), (7, 149)],
    }
}

/// A title or point begins with a letter or digit, in any of the common scripts, so that none is empty to a reader.
const FIRST: &str = "[0-9A-Za-zÀ-ÖØ-öø-ɏΑ-ΡΣ-ωА-яЁёԱ-Ֆա-ֆא-תء-يऄ-हก-ะぁ-ゖァ-ヺ一-鿿가-힣]";
/// What never stands in a title or point: control characters, invisible ones, spaces other than the plain
/// one, colons (which end labels) and Markdown. Dashes and the space are listed apart.
const NEVER: &str = r"\x00-\x1F\x7F-\xA0\u1680\u2000-\u200F\u2028-\u202F\u205F-\u206F\u3000\uFEFF\uFFFD:：*|#<>\[\]{}\\`_~";

/// GBNF of a generated plan: the document's title, then `fewest` to `most` numbered lines in LongWriter's
/// format with a title each. Every text of it is read by [`Plan::parse`](super::Plan::parse) into that
/// many sections.
///
/// The size grows with `most`, and each line is a rule of its own that ends with the next one: the
/// parser does not recurse over the lines. Word counts have three digits, since small models do
/// not choose among more with any sense, and the plan is rescaled in any case.
///
/// # Panics
/// Unless 1 ≤ `fewest` ≤ `most` ≤ [`MAX_SECTIONS`](super::MAX_SECTIONS).
#[must_use]
pub fn grammar(fewest: usize, most: usize, language: Language) -> String {
    assert!(
        1 <= fewest && fewest <= most && most <= super::MAX_SECTIONS,
        "no plan has {fewest} to {most} sections"
    );
    let labels = Labels::of(language);
    let [title, point] = lengths(language);
    let mut text = format!("root ::= \"{}\" title \"\\n\" line1\n", labels.document);
    for number in 1..=most {
        let next = number + 1;
        let end = match number {
            _ if number == most => String::new(),
            _ if number < fewest => format!(" \"\\n\" line{next}"),
            _ => format!(" (\"\\n\" line{next})?"),
        };
        writeln!(
            text,
            "line{number} ::= \"{}{number}\" entry{end}",
            labels.section
        )
        .expect("a string takes any text");
    }
    let Labels {
        title: title_label,
        point: point_label,
        words,
        unit,
        ..
    } = labels;
    text += &format!(
        "entry ::= \"{title_label}\" title \"{point_label}\" point \"{words}\" [1-9] [0-9] [0-9] \"{unit}\"\n"
    );
    for (name, (least, most)) in [("title", title), ("point", point)] {
        text += &format!("{name} ::= {FIRST} unit{{{least},{most}}}\n");
    }
    // No dash follows a space, since that parts fields, and no space follows a space.
    text += &format!("unit ::= [^ {NEVER}] | \" \" [^ {NEVER}–—-]\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_lines_come_after_the_required_ones() {
        let text = grammar(2, 3, Language::English);
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("line"))
            .collect();
        assert_eq!(
            lines,
            [
                r#"line1 ::= "Paragraph 1" entry "\n" line2"#,
                r#"line2 ::= "Paragraph 2" entry ("\n" line3)?"#,
                r#"line3 ::= "Paragraph 3" entry"#,
            ]
        );
    }

    #[test]
    fn the_size_is_linear_in_the_number_of_lines() {
        assert!(grammar(50, 200, Language::Chinese).len() < 200 * 60 + 1_000);
    }

    #[test]
    #[should_panic(expected = "no plan has 3 to 2 sections")]
    fn an_empty_range_of_sections_is_refused() {
        let _ = grammar(3, 2, Language::English);
    }
}
