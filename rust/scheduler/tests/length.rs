//! Sections that are held to their length: floors, targets, ceilings, ways out, room, and going on after a kill.

mod common;

use common::{Recorder, answers, document, engine, limits, paper, section, tokens, write};
use longwriter_scheduler::document::{DocumentSpec, Layout, SectionSpec};
use longwriter_scheduler::event::{Cause, EndReason};
use longwriter_scheduler::fake::{ASSISTANT, Script, USER};
use longwriter_scheduler::words::count;
use proptest::prelude::*;

const OPENING: &str = "The sea is wide and it is deep.";

/// A section of `words` words, give or take a tenth.
fn held(step: &str, words: u32, max_tokens: u32) -> SectionSpec {
    SectionSpec {
        floor_words: words * 9 / 10,
        target_words: words,
        ceiling_words: words * 11 / 10,
        ..section(step, max_tokens)
    }
}

fn one(answer: &str, words: u32) -> common::Record {
    write(
        document(Layout::Turns, vec![held("step", words, 4000)]),
        answers(&[("step", answer)]),
    )
}

#[test]
fn the_first_end_of_a_sentence_after_the_target_ends_the_section() {
    let sentence = "One two three four five. ";
    // From half way between target and ceiling on: 52 words.
    let record = one(&sentence.repeat(30), 50);
    assert_eq!(record.texts(), [sentence.repeat(11).trim_end()]);
    let told = &record.sections[&0];
    assert_eq!(told.ended, [EndReason::TargetReached]);
    assert!(!told.unfinished && told.rewound.is_empty());
}

#[test]
fn the_end_of_a_paragraph_is_taken_a_little_before_the_target() {
    let answer = format!(
        "{}\n\nMore and more and more.",
        "One two three four. ".repeat(24)
    );
    let record = one(&answer, 100);
    assert_eq!(count(&record.sections[&0].text).reader, 96);
    assert_eq!(record.sections[&0].ended, [EndReason::TargetReached]);
    assert!(record.sections[&0].rewound.is_empty());
}

#[test]
fn above_the_ceiling_the_text_is_cut_back_to_its_last_whole_sentence() {
    let answer = format!(
        "{}and so on{}",
        "One two three four. ".repeat(12),
        " and on".repeat(60)
    );
    let record = one(&answer, 50);
    assert_eq!(
        record.texts(),
        ["One two three four. ".repeat(12).trim_end()]
    );
    let told = &record.sections[&0];
    assert_eq!(told.ended, [EndReason::Ceiling]);
    assert_eq!(told.rewound, [Cause::Ceiling]);
    assert_eq!(
        told.tokens,
        tokens("One two three four. ".repeat(12).trim_end())
    );
    assert!(!told.unfinished, "48 words of 50");
}

#[test]
fn nothing_is_cut_inside_a_block_of_code() {
    let code = "```\nx = 1. y = 2.\n".to_owned() + &"z = 3. ".repeat(20) + "\n```\n\n";
    let answer = format!("{OPENING}\n\n{code}The rest is silence. And more.");
    let record = one(&answer, 20);
    assert_eq!(record.texts(), [OPENING]);
    assert!(
        record.sections[&0].unfinished,
        "it lacks words, and that is said"
    );
}

#[test]
fn ways_out_below_the_floor_are_taken_back_and_the_text_goes_on() {
    for (way_out, cause) in [
        ("\n\n## Title 1\n\nNext.", Cause::EarlyHeading),
        ("\n\nThe End\n\n", Cause::EarlyEnd),
        ("\n\nThe End.\n\n", Cause::EarlyEnd),
        ("\n\nIn conclusion, the sea is wide.", Cause::EarlyEnd),
        ("\n\nLet me know if you want more.", Cause::EarlyEnd),
    ] {
        let sections = vec![held("step", 100, 4000), held("free", 10, 400)];
        let record = write(
            document(Layout::Turns, sections),
            answers(&[("step", &format!("{OPENING}{way_out}"))]),
        );
        let told = &record.sections[&0];
        assert!(
            told.rewound.contains(&cause),
            "{way_out:?}: {:?}",
            told.rewound
        );
        assert!(told.text.starts_with(OPENING), "{way_out:?}");
        assert!(!told.text.contains(way_out.trim()), "{way_out:?}");
        let words = count(&told.text).reader;
        assert!((90..=110).contains(&words), "{way_out:?}: {words}");
        assert!(!told.unfinished);
    }
}

#[test]
fn a_conclusion_may_close_the_text_by_its_title_and_near_the_end() {
    let closing = "\n\nIn conclusion, it is wide. ";
    let answer = format!("{OPENING}{closing}");
    let mut spec = document(Layout::Turns, vec![held("step", 100, 4000)]);
    let mut around = (*spec.surroundings).clone();
    around.titles = vec!["Conclusion".to_owned()];
    spec.surroundings = around.into();
    let record = write(spec, answers(&[("step", &answer)]));
    assert!(record.sections[&0].rewound.is_empty());
    assert!(record.sections[&0].text.contains("In conclusion"));
    let late = format!("{}{closing}", "One two three four. ".repeat(20));
    assert!(one(&late, 100).sections[&0].text.contains("In conclusion"));
}

#[test]
fn later_sections_make_up_for_the_words_of_earlier_ones() {
    // The first section ends at its floor, 10 words early.
    let first = "One two three four five six seven eight nine ten. ".repeat(9);
    let words_of_the_second = |rebalance| {
        let sections = vec![held("step 0", 100, 4000), held("step 1", 100, 4000)];
        let mut spec = document(Layout::Turns, sections);
        spec.rebalance = rebalance;
        let said = "Alpha beta. ".repeat(200);
        let record = write(
            spec,
            answers(&[("step 0", first.trim_end()), ("step 1", &said)]),
        );
        assert_eq!(count(&record.sections[&0].text).reader, 90);
        count(&record.sections[&1].text).reader
    };
    assert_eq!(words_of_the_second(false), 106);
    assert_eq!(words_of_the_second(true), 116);
}

#[test]
fn a_section_below_its_floor_goes_on_in_the_room_that_others_left() {
    let short = held("step 0", 5, 400);
    let long = held("step 1", 60, 150);
    let answers = answers(&[
        ("step 0", "One two three four five."),
        ("step 1", &"Alpha beta. ".repeat(99)),
    ]);
    let record = write(
        document(Layout::Turns, vec![short, long.clone()]),
        answers.clone(),
    );
    let told = &record.sections[&1];
    assert!(told.tokens.len() > 150 && !told.unfinished, "{told:?}");
    // Without that room it is cut to a sentence, and says that it is not finished.
    let record = write(document(Layout::Turns, vec![long]), answers);
    let told = &record.sections[&0];
    assert_eq!(told.ended, [EndReason::TokenLimit]);
    assert!(told.unfinished && told.text.ends_with("beta."), "{told:?}");
}

fn layouts() -> impl Strategy<Value = Layout> {
    let guided = Layout::Guided {
        leads: [tokens("\n\n"), tokens("\n"), Vec::new()],
    };
    prop::sample::select(vec![Layout::Turns, paper(), guided, Layout::Parallel])
}

/// A document whose sections try every way out.
fn tempted(layout: Layout, words: u32, window: Option<u32>) -> (DocumentSpec, Script) {
    let asked = ["heading", "closing", "free", "runs on"];
    let sections = asked.iter().map(|step| SectionSpec {
        open_first: [vec![USER], tokens(step), vec![ASSISTANT]].concat(),
        ..held(step, words, 8 * words + 200)
    });
    let mut spec = document(layout, sections.collect());
    spec.rebalance = true;
    spec.window = window;
    let script = answers(&[
        (
            "heading",
            "The sea is wide. Ships cross it.\n\n## Title 1\n\nNext.",
        ),
        (
            "closing",
            "The sea is deep. It is.\n\nThe End\n\nThe End\n\n",
        ),
        (
            "runs on",
            "Alpha beta gamma. and so on and on and on and on and on and on and on and on and on and on",
        ),
    ]);
    (spec, script)
}

proptest! {
    /// Whatever is taken back, the cache holds exactly the prefix and what stays, budgets hold, settled text stays,
    /// and a run that was killed at any token writes what it would have written.
    #[test]
    fn a_held_document_is_consistent_and_resumes_as_it_would_have_been(
        layout in layouts(),
        words in 12..60_u32,
        stop in 1..900_usize,
        window in prop::option::of(500..700_u32),
        seed: u64,
    ) {
        let (mut spec, script) = tempted(layout.clone(), words, window);
        spec.seed = seed;
        let whole = write(spec.clone(), script.clone());
        prop_assert_eq!(&whole.ends, &[None]);
        for told in whole.sections.values() {
            let found = count(&told.text).reader;
            prop_assert!(told.unfinished || found * 100 >= words * 60, "{} of {}", found, words);
        }
        let mut engine = engine(limits(2, 1 << 16, 64), script.clone());
        engine.add(0, spec.clone()).unwrap();
        let mut recorder = Recorder::default();
        for _ in 0..stop {
            engine.step(&mut |event| recorder.take(event));
            engine.scheduler().check_integrity().unwrap();
        }
        let stopped = recorder.documents.remove(&0).unwrap();
        for (&number, told) in &stopped.sections {
            spec.sections[number].written.clone_from(&told.tokens);
            spec.sections[number].finished = !told.ended.is_empty();
        }
        let resumed = write(spec, script);
        for (number, told) in &whole.sections {
            let stopped = stopped.sections.get(number).filter(|told| !told.ended.is_empty());
            let again = stopped.unwrap_or_else(|| &resumed.sections[number]);
            prop_assert_eq!(&again.text, &told.text, "section {}", number);
            prop_assert_eq!(&again.ended, &told.ended, "section {}", number);
        }
    }

    /// The fake answers from its cache alone, so a document with text taken back is the same in any company only if
    /// its cache is what it should be.
    #[test]
    fn company_does_not_change_a_held_document(layout in layouts(), words in 12..40_u32, batch in 5..40_u32) {
        let (spec, script) = tempted(layout, words, None);
        let alone = write(spec.clone(), script.clone());
        let mut engine = engine(limits(3, 1 << 16, batch), script);
        for number in 0..3 {
            let mut other = spec.clone();
            other.stream = number % 2;
            engine.add(number, other).unwrap();
        }
        let mut recorder = Recorder::default();
        common::run(&mut engine, &mut recorder);
        prop_assert_eq!(recorder.documents[&0].texts(), alone.texts());
        prop_assert_eq!(recorder.documents[&2].texts(), alone.texts());
    }
}
