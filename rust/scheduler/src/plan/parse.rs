//! Finds out which kind of plan a text holds, and reads it.

use super::assemble::Draft;
use super::line::{self, Line, Mark};
use super::{
    MAX_PLAN_BYTES, Plan, PlanError, assemble, field, headings, items, labelled, own_format,
};

pub(super) fn parse(text: &str) -> Result<Plan, PlanError> {
    if text.len() > MAX_PLAN_BYTES {
        return Err(PlanError::TooLarge { bytes: text.len() });
    }
    let text = text
        .trim_start_matches('\u{feff}')
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    if own_format::is_own(&text) {
        return own_format::read(&text);
    }
    let text = ascii_digits(&text);
    let lines = line::lines(&text);
    // Labels are the surest sign, then headings; only a text without either is taken for a plain outline.
    let (title, drafts) = labelled::read(&lines)
        .or_else(|| headings::read(&lines))
        .unwrap_or_else(|| outline(&lines));
    assemble::from_drafts(&title, drafts)
}

/// A list or plain lines, below at most one heading or `Title:` line.
fn outline(lines: &[Line<'_>]) -> (String, Vec<Draft>) {
    let mut title = String::new();
    let mut body = Vec::with_capacity(lines.len());
    for line in lines {
        let named = field::fields(line.text).title;
        if matches!(line.mark, Mark::Heading(_)) {
            title = headings::document_title(line.text);
        } else if let Some(named) = named.filter(|_| body.is_empty() && line.mark == Mark::None) {
            title = named;
        } else {
            body.push(*line);
        }
    }
    (title, items::drafts(&body))
}

/// `text` with full-width digits as plain ones, so that numbers and counts are read in one way.
fn ascii_digits(text: &str) -> String {
    let digit = |c: char| match c {
        '０'..='９' => char::from(b'0' + (u32::from(c) - u32::from('０')) as u8),
        _ => c,
    };
    text.chars().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<(String, String, Option<u32>)> {
        let plan = Plan::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        plan.sections
            .into_iter()
            .map(|s| (s.title, s.point, s.words))
            .collect()
    }

    fn row(title: &str, point: &str, words: Option<u32>) -> (String, String, Option<u32>) {
        (title.into(), point.into(), words)
    }

    #[test]
    fn longwriters_english_format_is_read_with_prose_around_it() {
        let text = "Here is the plan:\n\nParagraph 1 - Main Point: The founding - Word Count: 300 words\n\nParagraph 2 - Main Point: The fall - Word Count: 200-400 words\n\nThis plan covers all of it.";
        assert_eq!(
            rows(text),
            [
                row("The founding", "The founding", Some(300)),
                row("The fall", "The fall", Some(300))
            ]
        );
    }

    #[test]
    fn longwriters_chinese_format_is_read() {
        let text = "以下是计划：\n段落1 - 要点：罗马的建立 - 字数：300字\n第2段 - 主要内容：共和国 - 字数：４００字\n第三段：帝国";
        assert_eq!(
            rows(text),
            [
                row("罗马的建立", "罗马的建立", Some(300)),
                row("共和国", "共和国", Some(400)),
                row("帝国", "帝国", None)
            ]
        );
    }

    #[test]
    fn generated_lines_are_read_with_their_titles() {
        let text = "Title: Rome\nParagraph 1 - Title: The founding - Main Point: Who built it - Word Count: 300 words";
        assert_eq!(Plan::parse(text).unwrap().title, "Rome");
        assert_eq!(rows(text), [row("The founding", "Who built it", Some(300))]);
    }

    #[test]
    fn labels_may_be_bold_bulleted_or_on_their_own_lines() {
        let expected = [row("The founding", "Who built it", Some(300))];
        for text in [
            "* **Paragraph 1 – The founding** – **Main Point:** Who built it – **Word Count:** 300 words",
            "**Paragraph 1**\n- Title: The founding\n- Main Point: Who built it\n- Word Count: 300 words",
            "## The founding\nMain Point: Who built it\nWord Count: 300",
            "1. **The founding**\n   - Main Point: Who built it\n   - Word Count: 300",
            "1. Title: The founding - Main Point: Who built it - Word Count: 300",
            "Paragraph 1: The founding\n\nMain Point: Who built it (300 words)",
        ] {
            assert_eq!(rows(text)[..1], expected, "{text}");
        }
    }

    #[test]
    fn parts_may_be_missing() {
        let text = "Paragraph 1: The founding (300 words)\nParagraph 2 - Word Count: 200 words\nParagraph 3 - Main Point: The fall";
        let plan = Plan::parse(text).unwrap();
        assert_eq!(
            rows(text),
            [
                row("The founding", "The founding", Some(300)),
                row("The fall", "The fall", None)
            ]
        );
        assert_eq!(plan.notes.len(), 1);
    }

    #[test]
    fn markdown_lists_are_read() {
        let text = "# Rome\n\nSections:\n\n1. **The founding**: who built it (300 words)\n2. The empire\n   - its peace\n   - its borders\n3. The fall\n- the east stays";
        assert_eq!(Plan::parse(text).unwrap().title, "Rome");
        assert_eq!(
            rows(text),
            [
                row("The founding", "who built it", Some(300)),
                row("The empire", "its peace; its borders", None),
                row("The fall", "the east stays", None),
            ]
        );
        assert_eq!(rows("- one thing\n- another").len(), 2);
    }

    #[test]
    fn an_item_that_is_wrapped_stays_one_text() {
        let text = "1. The founding: who built\nthe city (300 words)\n2. The fall";
        assert_eq!(
            rows(text)[0],
            row("The founding", "who built the city", Some(300))
        );
    }

    #[test]
    fn markdown_headings_are_read_with_the_text_below() {
        let text = "# Rome\nA history.\n\n## Chapter 1: The founding (300 words)\n\nWho built it,\nand why.\n\n## 2. The fall\n\n### East\n- stays\n";
        assert_eq!(Plan::parse(text).unwrap().title, "Rome");
        assert_eq!(
            rows(text),
            [
                row("The founding", "Who built it, and why.", Some(300)),
                row("The fall", "East; stays", None)
            ]
        );
    }

    #[test]
    fn outlines_made_by_hand_are_read() {
        let text = "\u{feff}The founding\r\n\twho built it\r\nThe fall, 300 words\r\n\r\n  who was to blame\r\n";
        assert_eq!(
            rows(text),
            [
                row("The founding", "who built it", None),
                row("The fall", "who was to blame", Some(300))
            ]
        );
        assert_eq!(rows("1 The founding\n2 The fall")[1].0, "The fall");
        assert_eq!(
            rows("I. The founding\n  a) who\n  b) why\nII. The fall").len(),
            2
        );
        assert_eq!(rows("一、罗马的建立\n二、罗马的衰落\n").len(), 2);
        assert_eq!(rows("Intro\n- who\n- what\nThe end\n- of it").len(), 2);
    }

    #[test]
    fn wrong_numbers_are_replaced_and_noted() {
        let text = "Paragraph 1 - Main Point: One\nParagraph 1 - Main Point: Two\nParagraph 5 - Main Point: Three";
        let plan = Plan::parse(text).unwrap();
        assert_eq!(plan.sections.len(), 3);
        assert!(plan.notes[0].contains("section 2 was numbered 1"));
    }

    #[test]
    fn a_repeated_point_is_marked() {
        let text = "1. The fall of Rome\n2. The rise of Rome\n3. The Fall of Rome!";
        let repeats: Vec<_> = Plan::parse(text)
            .unwrap()
            .sections
            .iter()
            .map(|s| s.repeats)
            .collect();
        assert_eq!(repeats, [None, None, Some(0)]);
    }

    #[test]
    fn a_text_without_a_plan_is_refused() {
        for text in [
            "",
            " \n\t\n",
            "---\n***",
            "I cannot do that.",
            "# Rome\n",
            "Paragraph 1 -",
        ] {
            assert_eq!(Plan::parse(text), Err(PlanError::Empty), "{text}");
        }
    }

    #[test]
    fn too_many_sections_and_too_large_texts_are_refused() {
        let many: String = (1..=201).map(|n| format!("{n}. Point {n}\n")).collect();
        assert_eq!(Plan::parse(&many), Err(PlanError::TooMany { found: 201 }));
        let large = "x".repeat(MAX_PLAN_BYTES + 1);
        assert_eq!(
            Plan::parse(&large),
            Err(PlanError::TooLarge {
                bytes: MAX_PLAN_BYTES + 1
            })
        );
    }
}
