//! What a section's text becomes of what a model writes.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::*;

fn surroundings() -> Arc<Surroundings> {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Arc::new(Surroundings {
        titles: owned(&[
            "The Founding",
            "Wars and Treaties",
            "Daily Life",
            "War",
            "罗马的日常生活",
        ]),
        echoes: owned(&[
            "Write a 1000-word article on the history of the Roman Empire",
            "Paragraph 2 - Title: Wars and Treaties - Main Point: How Rome fought - Word Count: 200 words",
            "How Rome fought its neighbours",
            "写一篇介绍罗马帝国历史的文章",
            "写一篇关于海的文章",
        ]),
        enabled: true,
    })
}

/// The text of section 1 ("Wars and Treaties", label 2) for these pieces, and whether it ended early.
fn write(pieces: &[&str]) -> (String, bool, Range<usize>) {
    let mut section = SectionText::new(surroundings(), 1);
    let mut text = String::new();
    let mut ended = false;
    for piece in pieces {
        let pushed = section.push(piece.as_bytes());
        text.push_str(&pushed.text);
        ended = pushed.ended;
        if ended {
            break;
        }
    }
    text.push_str(&section.finish());
    (text, ended, section.kept())
}

fn text_of(written: &str) -> String {
    let characters: Vec<String> = written.chars().map(String::from).collect();
    let pieces: Vec<&str> = characters.iter().map(String::as_str).collect();
    write(&pieces).0
}

#[test]
fn prose_passes_unchanged() {
    for prose in [
        "Rome fought.\n\nIt won.",
        "Section 4 of the act says so.\nParagraph 4 was long.",
        "Part 1: what came before.\nThen part 2.",
        "**Bold** words, *soft* ones, and a list:\n- one\n- two\n\n### A subtitle\n\nMore.",
        "\u{3000}罗马与邻国作战。\n\n第一次战争开始了。",
        "Daily life in Rome went on as before.\nDaily Life, they said.",
        "War.\nWar\nWars and more wars.",
        "1. First the army.\n2. Then the fleet.",
        "Titles were given to nobles: dukes and earls.\nMore.",
        "It was about:\n\n- Daily Life\n- War",
        "It was about:\n\n1. The Founding\n2. Wars and Treaties\n3. Daily Life\n",
        "She sang of\n\nDaily Life,\nof war.",
        "She sang of\nDaily Life\nand war.",
        "Step 1: march.\n\nStep 2: fight.\n\nStep 3: return.",
        "In short.\n\nPart 1: the army\n\nPart 2: the fleet\n\nPart 3: the peace",
        "**Daily Life** went on.\n\n**Daily Life**, they said.",
        "🙂\nRome fought.",
        "……\nRome fought.",
        "她写道\n\n罗马的日常生活很丰富。",
        "第一次战争。\n第三次战争。",
    ] {
        assert_eq!(text_of(prose), prose.trim_end());
    }
}

#[test]
fn labels_titles_and_echoes_at_the_start_are_taken_out() {
    for head in [
        "Paragraph 2: ",
        "**Paragraph 2:** ",
        "Paragraph 2\n\n",
        "## Wars and Treaties\n\n",
        "Wars and Treaties:\n",
        "2. Wars and Treaties\n",
        "Section 2: Wars and Treaties\n\n",
        "Paragraph 2 - Main Point: How Rome fought - Word Count: 200 words\n\n",
        "Paragraph 2 - Title: Wars and Treaties - Main Point: How Rome fought - Word Count: 200 words\n",
        "(200 words)\n",
        "Word Count: 200\n",
        "Write a 1000-word article on the history of the Roman Empire\n\n",
        "How Rome fought its neighbours.\n",
        "第2段：",
        "第二段\n",
        "段落2 - 要点：战争\n",
        "写一篇介绍罗马帝国历史的文章。\n\n",
        "# Wars and Treaties\n\nParagraph 2: ",
        "\n\n  ",
        "---\n",
        "200 words\n\n",
        "Main Point: How they fought\n",
        "写一篇关于海的文章\n",
    ] {
        assert_eq!(
            text_of(&format!("{head}Rome fought.")),
            "Rome fought.",
            "{head:?}"
        );
    }
}

#[test]
fn a_label_goes_without_the_marks_that_belong_to_it() {
    for (written, kept) in [
        (
            "**Paragraph 2: The City**\n\nRome.",
            "**The City**\n\nRome.",
        ),
        ("## *Section 2 - The City*\nRome.", "*The City*\nRome."),
        ("**Paragraph 2:** *Rome* fought.", "*Rome* fought."),
        ("**Paragraph 2**: Rome.", "Rome."),
        ("Paragraph 2: \"Rome\", he said.", "\"Rome\", he said."),
        ("Paragraph 2: **Rome** fought.", "**Rome** fought."),
    ] {
        assert_eq!(text_of(written), kept);
    }
}

#[test]
fn a_long_first_line_is_not_lost_for_its_first_words() {
    let rest = "and so it went ".repeat(40);
    for start in [
        "Titles in Rome were many,",
        "Main points of the war:",
        "Title: Rome,",
    ] {
        let written = format!("{start} {rest}");
        assert_eq!(text_of(&written), written.trim_end());
    }
    assert_eq!(
        text_of(&format!("{}Rome fought.", " ".repeat(500))),
        "Rome fought."
    );
}

#[test]
fn an_absurd_number_is_text() {
    let written = format!("Rome fought.\n第{}次", "九".repeat(40));
    assert_eq!(text_of(&written), written);
}

#[test]
fn a_section_that_only_repeats_its_prompt_is_empty() {
    let (text, ended, kept) = write(&["Paragraph 2:", "\n", "Wars and ", "Treaties"]);
    assert_eq!((text.as_str(), ended), ("", false));
    assert!(kept.is_empty());
}

#[test]
fn the_heading_of_another_section_ends_the_text() {
    for next in [
        "Paragraph 3: Daily life",
        "**Paragraph 3**\n",
        "Paragraph 3 - Main Point: x",
        "Section 1:",
        "Part 3: x",
        "## Daily Life\n",
        "Daily Life\n",
        "3. Daily Life\n",
        "## War\n",
        "第3段：",
        "第三段\n",
        "段落3：",
        "罗马的日常生活\n",
    ] {
        let written = format!("Rome fought.\n\n{next}");
        let pieces: Vec<String> = written.chars().map(String::from).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let (text, ended, kept) = write(&pieces);
        assert_eq!(text, "Rome fought.", "{next:?}");
        assert!(ended, "{next:?}");
        assert_eq!(
            kept,
            0..14,
            "{next:?}: the two line ends stay, the heading goes"
        );
    }
}

#[test]
fn a_heading_in_the_last_line_is_cut_when_the_section_ends_there() {
    let (text, ended, kept) = write(&["Rome fought.", "\n\n", "## Daily", " Life"]);
    assert_eq!((text.as_str(), ended), ("Rome fought.", false));
    assert_eq!(kept, 0..2);
}

#[test]
fn kept_tokens_leave_out_what_was_dropped_at_the_start() {
    let (text, _, kept) = write(&["Paragraph", " 2", ":", " Rome", " fought", "."]);
    assert_eq!(text, "Rome fought.");
    assert_eq!(kept, 3..6);
    let (_, _, kept) = write(&["\n", "Rome", " fought."]);
    assert_eq!(kept, 1..3);
}

#[test]
fn prose_streams_without_delay() {
    let mut section = SectionText::new(surroundings(), 1);
    section.push(b"Rome");
    assert_eq!(section.push(b" fought").text, " fought");
    assert_eq!(section.push(b" its\n").text, " its");
    assert_eq!(section.push(b"enemies").text, "\nenemies");
    assert_eq!(section.counts().reader, 4);
}

#[test]
fn a_line_that_could_be_a_heading_waits_until_it_cannot() {
    let mut section = SectionText::new(surroundings(), 1);
    section.push(b"Rome fought.\n\n");
    assert_eq!(section.push(b"Daily").text, "");
    assert_eq!(section.push(b" Life").text, "");
    assert_eq!(section.push(b" went on").text, "\n\nDaily Life went on");
}

#[test]
fn at_most_one_empty_line_and_no_blanks_at_the_edges() {
    assert_eq!(
        text_of("  \n\nRome  \n\n\n\n  fought. \n\n"),
        "Rome\n\n  fought."
    );
}

#[test]
fn a_long_echo_is_dropped_to_its_end() {
    let instruction = "Describe the sea and everything in it. ".repeat(30);
    let around = Surroundings {
        titles: vec!["Sea".to_owned()],
        echoes: vec![instruction.clone()],
        enabled: true,
    };
    let mut section = SectionText::new(Arc::new(around), 0);
    let mut text = String::new();
    for piece in [instruction.as_str(), "\n\n", "The sea is wide."] {
        text.push_str(&section.push(piece.as_bytes()).text);
    }
    text.push_str(&section.finish());
    assert_eq!(text, "The sea is wide.");
}

#[test]
fn a_model_that_only_repeats_the_plan_is_not_left_without_text() {
    let written: String = (2..9)
        .map(|number| format!("Paragraph {number} - Title: x\n\n"))
        .collect();
    assert_eq!(text_of(&written), "Paragraph 6 - Title: x");
}

#[test]
fn without_rules_everything_passes() {
    let around = Surroundings {
        enabled: false,
        ..Surroundings::default()
    };
    let mut section = SectionText::new(Arc::new(around), 0);
    let pushed = section.push(b"Title: The Sea\nParagraph 1 - x\nParagraph 2 - y");
    assert_eq!(
        pushed.text,
        "Title: The Sea\nParagraph 1 - x\nParagraph 2 - y"
    );
}

static LONGER_THAN_HELD: LazyLock<String> = LazyLock::new(|| " ".repeat(420));

fn model_text() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "Paragraph 2: ",
        "Paragraph 3",
        ":",
        "\n",
        "\n\n",
        "Daily Life",
        "## ",
        "Wars and Treaties",
        "Rome fought. ",
        "a",
        " ",
        "第2段",
        "罗马",
        "\u{1b}[0m",
        "\r\n",
        "é",
        "(200 words)",
        "**",
        "3. ",
        "Part 1",
        "Title",
        "- ",
        "\u{3000}",
        "Write a 1000-word article on the history of the Roman Empire",
        &LONGER_THAN_HELD,
    ]);
    prop::collection::vec(parts, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn how_the_text_is_cut_into_tokens_does_not_change_it(
        written in model_text(),
        sizes in prop::collection::vec(1..7_usize, 1..80),
    ) {
        let mut bytes = written.as_bytes();
        let mut section = SectionText::new(surroundings(), 1);
        let mut text = String::new();
        let mut tokens = 0;
        for size in sizes.into_iter().cycle() {
            if bytes.is_empty() {
                break;
            }
            let (piece, rest) = bytes.split_at(size.min(bytes.len()));
            bytes = rest;
            tokens += 1;
            let pushed = section.push(piece);
            text.push_str(&pushed.text);
            if pushed.ended {
                break;
            }
        }
        text.push_str(&section.finish());
        prop_assert_eq!(&text, &text_of(&written));
        prop_assert!(section.kept().end <= tokens);
        prop_assert!(section.kept().start <= section.kept().end);
    }

    #[test]
    fn released_text_is_clean(written in any::<String>()) {
        let text = text_of(&written);
        let indented = text.trim_start_matches('\u{3000}');
        prop_assert!(text.len() > indented.len() || indented.trim_start() == indented);
        prop_assert!(!text.ends_with(char::is_whitespace));
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
        prop_assert!(!text.contains("\n\n\n"));
    }

    #[test]
    fn arbitrary_bytes_never_panic(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..20)) {
        let mut section = SectionText::new(surroundings(), 1);
        for piece in &pieces {
            section.push(piece);
        }
        section.finish();
        prop_assert!(section.kept().end <= pieces.len().max(1));
    }
}
