//! The layouts beside `turns` and `paper`: guided and parallel; and documents that outgrow their window.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{Recorder, answers, document, engine, limits, paper, run, section, tokens, write};
use longwriter_scheduler::backend::Token;
use longwriter_scheduler::document::{DocumentSpec, Layout, SectionSpec, SpecError};
use longwriter_scheduler::engine::Engine;
use longwriter_scheduler::event::EndReason;
use longwriter_scheduler::fake::{ASSISTANT, END, FakeBackend, Script, USER};
use proptest::prelude::*;

fn guided() -> Layout {
    Layout::Guided {
        leads: [tokens("\n\n"), tokens("\n"), Vec::new()],
    }
}

/// A section of a guided document: its heading.
fn headed(title: &str, max_tokens: u32) -> SectionSpec {
    SectionSpec {
        open: tokens(&format!("## {title}\n\n")),
        max_tokens,
        ..SectionSpec::default()
    }
}

fn guided_document(sections: usize, max_tokens: u32) -> DocumentSpec {
    let steps = (0..sections).map(|number| headed(&format!("Title {number}"), max_tokens));
    let mut spec = document(guided(), steps.collect());
    spec.prefix = [vec![USER], tokens("Write it."), vec![ASSISTANT]].concat();
    spec
}

/// What the cache holds after each step, as text.
fn contexts(spec: DocumentSpec, script: Script) -> (Vec<String>, Recorder) {
    let cells = 1 << 16;
    let mut engine = engine(limits(1, cells, 64), script);
    engine.add(0, spec).unwrap();
    let mut recorder = Recorder::default();
    let mut seen = Vec::new();
    while !engine.is_idle() {
        engine.step(&mut |event| recorder.take(event));
        engine.scheduler().check_integrity().unwrap();
        seen.push(text(engine.backend().cached(0)));
    }
    (seen, recorder)
}

fn text(tokens: &[Token]) -> String {
    let bytes = tokens.iter().filter_map(|&token| u8::try_from(token).ok());
    String::from_utf8(bytes.collect()).unwrap()
}

#[test]
fn guided_sets_each_heading_and_reads_nothing_twice() {
    let (seen, recorder) = contexts(guided_document(3, 60), Script::default());
    let record = &recorder.documents[&0];
    let texts = record.texts();
    assert_eq!(record.order, [0, 1, 2]);
    assert!(
        texts
            .iter()
            .all(|text| !text.is_empty() && !text.contains('#'))
    );
    let last = seen.last().unwrap();
    for number in 0..3 {
        assert!(last.contains(&format!("## Title {number}\n\n")), "{last}");
    }
    assert_eq!(record.usage.tokens_reread, 0);
    let headings = 3 * "## Title 0\n\n".len() + 2 * "\n\n".len();
    let prefix = guided_document(3, 60).prefix.len();
    assert!(record.usage.tokens_read <= (prefix + headings) as u64);
}

#[test]
fn a_heading_of_the_model_ends_a_guided_section_and_is_not_doubled() {
    let script = answers(&[(
        "Write it.",
        "## Title 0\n\nOne line.\n\n## Title 1\n\nAnother.",
    )]);
    let (seen, recorder) = contexts(guided_document(2, 200), script);
    assert_eq!(recorder.documents[&0].texts()[0], "One line.");
    assert_eq!(
        recorder.documents[&0].sections[&0].ended,
        [EndReason::NextHeading]
    );
    let last = seen.last().unwrap();
    assert!(last.contains("One line.\n\n## Title 1\n\n"), "{last}");
    assert_eq!(last.matches("## Title 1").count(), 1, "{last}");
}

#[test]
fn a_section_with_a_target_ends_with_a_paragraph_or_soon_with_a_sentence() {
    let long = "one two three four five six seven eight nine ten. eleven twelve. and more text";
    let paragraphs = "one two three four five six\n\nseven eight nine";
    for (answer, target, expected) in [
        (
            long,
            10,
            "one two three four five six seven eight nine ten. eleven twelve.",
        ),
        (long, 9, "one two three four five six seven eight nine ten."),
        (paragraphs, 6, "one two three four five six"),
        (paragraphs, 5, "one two three four five six"),
    ] {
        let mut step = section("free", 400);
        step.target_words = target;
        let record = write(
            document(Layout::Turns, vec![step]),
            answers(&[("free", answer)]),
        );
        assert_eq!(record.texts(), [expected], "target {target}");
        assert_eq!(record.sections[&0].ended, [EndReason::TargetReached]);
    }
}

#[test]
fn in_parallel_a_section_sees_the_prefix_and_its_own_step_only() {
    let steps = (0..3).map(|number| section(&format!("free {number}"), 80));
    let spec = document(Layout::Parallel, steps.collect());
    let mut engine = engine(limits(3, 4000, 256), Script::default());
    engine.add(0, spec).unwrap();
    let mut recorder = Recorder::default();
    let mut contexts = BTreeSet::new();
    while !engine.is_idle() {
        engine.step(&mut |event| recorder.take(event));
        for sequence in 0..3 {
            contexts.insert(text(engine.backend().cached(sequence)));
        }
    }
    let asked = |context: &&String| {
        (0..3)
            .filter(|n| context.contains(&format!("free {n}")))
            .count()
    };
    assert!(contexts.iter().all(|context| asked(&context) <= 1));
    let begun = |context: &&String| context.starts_with("Write about the sea.");
    assert!(
        contexts
            .iter()
            .filter(|context| !context.is_empty())
            .all(|context| begun(&context))
    );
    assert_eq!(recorder.documents[&0].sections.len(), 3);
}

fn windowed(layout: Layout, sections: usize, window: u32) -> DocumentSpec {
    let steps = (0..sections).map(|number| SectionSpec {
        open_first: [tokens(&format!("First {number}")), vec![ASSISTANT]].concat(),
        ..section(&format!("free {number}"), 240)
    });
    let mut spec = document(layout, steps.collect());
    spec.window = Some(window);
    spec
}

#[test]
fn a_document_of_three_windows_completes_with_every_layout() {
    for layout in [Layout::Turns, paper(), guided(), Layout::Parallel] {
        for (sections, max_tokens) in [(12, 100), (1, 1200)] {
            let mut spec = windowed(layout.clone(), sections, 400);
            for section in &mut spec.sections {
                section.max_tokens = max_tokens;
                section.floor_words = 1000;
            }
            assert!(spec.reserve() <= 400);
            let (seen, recorder) = contexts(spec, Script::default());
            let record = &recorder.documents[&0];
            assert_eq!(record.ends, [None], "{layout:?}");
            let written: usize = record.sections.values().map(|told| told.tokens.len()).sum();
            assert_eq!(written, 1200, "{layout:?}");
            assert!(
                seen.iter().all(|context| context.len() <= 400),
                "{layout:?}"
            );
            assert!(
                seen.iter()
                    .filter(|context| !context.is_empty())
                    .all(|context| {
                        context.starts_with(
                            "Write about the sea.".get(..context.len().min(20)).unwrap(),
                        )
                    }),
                "the prefix stays: {layout:?}"
            );
            if layout != Layout::Parallel || sections == 1 {
                assert!(!record.compacted.is_empty(), "{layout:?}");
                assert!(record.compacted.len() <= 12, "in large steps: {layout:?}");
            }
        }
    }
}

#[test]
fn what_stays_in_a_window_is_the_end_of_the_text() {
    let mut spec = windowed(Layout::Turns, 1, 400);
    spec.sections[0].max_tokens = 900;
    spec.sections[0].floor_words = 1000;
    let (seen, recorder) = contexts(spec, Script::default());
    let record = &recorder.documents[&0];
    let whole = text(&record.sections[&0].tokens);
    let last = seen.iter().rfind(|context| !context.is_empty()).unwrap();
    let (prompt, tail) = last.split_once("First 0").unwrap();
    assert_eq!(prompt, "Write about the sea.");
    // The very last token is sampled and never evaluated.
    assert!(
        whole[..whole.len() - 1].ends_with(tail),
        "{tail:?} of {whole:?}"
    );
    let (kept, dropped) = record.compacted[0];
    assert!(kept > 60 && dropped > kept, "{:?}", record.compacted);
}

#[test]
fn a_window_that_is_too_small_is_refused() {
    let cells = limits(1, 4000, 32);
    let spec = windowed(Layout::Turns, 2, 150);
    let error = spec.validate(&cells).unwrap_err();
    assert!(
        matches!(error, SpecError::WindowTooSmall { window: 150, .. }),
        "{error}"
    );
}

proptest! {
    /// Stopped after any step and begun anew, every layout ends with the text that it would have had, also
    /// in a window.
    #[test]
    fn a_resumed_document_is_the_same(
        layout in prop::sample::select(vec![Layout::Turns, paper(), guided(), Layout::Parallel]),
        sections in 1..5_usize,
        stop in 1..600_usize,
        window in prop::option::of(400..600_u32),
    ) {
        let mut spec = windowed(layout, sections, 0);
        spec.window = window;
        let whole = write(spec.clone(), Script::default());
        let backend = FakeBackend::new(limits(2, 1 << 16, 64), Script::default());
        let mut engine = Engine::new(backend, vec![END], Duration::ZERO);
        engine.add(0, spec.clone()).unwrap();
        let mut recorder = Recorder::default();
        for _ in 0..stop {
            engine.step(&mut |event| recorder.take(event));
        }
        let stopped = recorder.documents.remove(&0).unwrap();
        for (&number, told) in &stopped.sections {
            spec.sections[number].written.clone_from(&told.tokens);
            spec.sections[number].finished = !told.ended.is_empty();
        }
        let mut engine = common::engine(limits(2, 1 << 16, 64), Script::default());
        engine.add(0, spec).unwrap();
        let mut recorder = Recorder::default();
        run(&mut engine, &mut recorder);
        let resumed = &recorder.documents[&0];
        for (number, told) in &whole.sections {
            let finished = stopped.sections.get(number).filter(|told| !told.ended.is_empty());
            let text = finished.map_or_else(|| &resumed.sections[number].text, |told| &told.text);
            prop_assert_eq!(text, &told.text, "section {}", number);
        }
    }
}
