//! What one document becomes: its text, its ends, what is read and read again.

mod common;

use common::{
    Recorder, answers, document, engine, limits, open, paper, run, section, tokens, write,
};
use longwriter_scheduler::backend::{DecodeError, SampleError};
use longwriter_scheduler::document::{Layout, SpecError};
use longwriter_scheduler::engine::Engine;
use longwriter_scheduler::event::{EndReason, Event, Fault};
use longwriter_scheduler::fake::{END, FakeBackend, InjectedFault, Script};
use proptest::prelude::*;
use std::time::Duration;

const SEA: &[(&str, &str)] = &[
    ("step 0", "The sea is wide."),
    ("step 1", "Ships cross it."),
    ("step 2", "At night it is dark."),
];

fn three_sections(layout: Layout) -> longwriter_scheduler::document::DocumentSpec {
    document(
        layout,
        (0..3)
            .map(|number| section(&format!("step {number}"), 200))
            .collect(),
    )
}

#[test]
fn sections_are_written_in_order_with_both_layouts() {
    for layout in [Layout::Turns, paper()] {
        let record = write(three_sections(layout), answers(SEA));
        assert_eq!(
            record.texts(),
            [
                "The sea is wide.",
                "Ships cross it.",
                "At night it is dark."
            ]
        );
        assert_eq!(record.order, [0, 1, 2]);
        assert!(
            record
                .sections
                .values()
                .all(|told| told.ended == [EndReason::EndOfTurn])
        );
        assert_eq!(record.ends, [None]);
    }
}

#[test]
fn turns_read_each_prompt_token_once_and_nothing_again() {
    let spec = three_sections(Layout::Turns);
    let prompts = spec.prefix.len() + spec.sections.iter().map(|s| s.open.len()).sum::<usize>();
    let record = write(spec, answers(SEA));
    assert_eq!(record.usage.tokens_read, prompts as u64);
    assert_eq!(record.usage.tokens_reread, 0);
    assert!(record.usage.tokens_reused > 0);
}

#[test]
fn paper_reads_the_last_section_again_and_no_more() {
    let spec = three_sections(paper());
    let prompts = spec.prefix.len() + spec.sections.iter().map(|s| s.open.len()).sum::<usize>();
    let record = write(spec, answers(SEA));
    let again = "The sea is wide.".len() + "Ships cross it.".len();
    assert_eq!(record.usage.tokens_reread, again as u64);
    assert_eq!(
        record.usage.tokens_read,
        (prompts + again + 2 * "\n\n".len()) as u64
    );
}

#[test]
fn the_cache_holds_what_the_model_should_see() {
    let mut engine_turns = engine(limits(1, 4096, 16), answers(SEA));
    engine_turns.add(0, three_sections(Layout::Turns)).unwrap();
    let mut cached = Vec::new();
    while !engine_turns.is_idle() {
        engine_turns.step(&mut |_| {});
        let now = engine_turns.backend().cached(0).to_vec();
        if now.len() > cached.len() {
            cached = now;
        }
    }
    let expected = [
        tokens("Write about the sea."),
        open("step 0"),
        tokens("The sea is wide."),
        open("step 1"),
        tokens("Ships cross it."),
        open("step 2"),
        tokens("At night it is dark."),
    ]
    .concat();
    assert_eq!(cached, expected);
}

#[test]
fn a_label_is_removed_and_the_next_heading_ends_the_section() {
    let said = [
        (
            "step 0",
            "Paragraph 1: The sea is wide.\n\nParagraph 2: Ships cross it.",
        ),
        ("step 1", "Ships cross it."),
    ];
    for layout in [Layout::Turns, paper()] {
        let sections = vec![section("step 0", 200), section("step 1", 200)];
        let record = write(document(layout, sections), answers(&said));
        assert_eq!(record.texts(), ["The sea is wide.", "Ships cross it."]);
        assert_eq!(record.sections[&0].ended, [EndReason::NextHeading]);
    }
}

#[test]
fn a_model_that_cannot_drop_a_part_of_a_sequence_writes_the_same_text() {
    let said = [
        ("step 0", "The sea is wide.\n\nParagraph 2: Ships"),
        ("step 1", "Ships cross it."),
    ];
    let sections = vec![section("step 0", 200), section("step 1", 200)];
    let backend = FakeBackend::new(limits(1, 4096, 16), answers(&said)).recurrent();
    let mut engine = Engine::new(backend, vec![END], Duration::ZERO);
    engine.add(0, document(Layout::Turns, sections)).unwrap();
    let mut recorder = Recorder::default();
    run(&mut engine, &mut recorder);
    let record = &recorder.documents[&0];
    assert_eq!(record.texts(), ["The sea is wide.", "Ships cross it."]);
    assert!(
        record.usage.tokens_reread > 0,
        "the lost cache is read again and counted"
    );
}

#[test]
fn the_token_limit_cuts_a_section_and_says_so() {
    let sections = vec![section("step 0", 7), section("step 1", 200)];
    let record = write(document(Layout::Turns, sections), answers(SEA));
    assert_eq!(record.texts(), ["The sea", "Ships cross it."]);
    assert_eq!(record.sections[&0].ended, [EndReason::TokenLimit]);
}

#[test]
fn below_its_floor_a_section_cannot_end() {
    let mut spec = document(Layout::Turns, vec![section("step 0", 400)]);
    spec.sections[0].floor_words = 20;
    let record = write(spec, answers(SEA));
    let text = &record.sections[&0].text;
    assert!(text.starts_with("The sea is wide."), "{text}");
    assert!(text.split_whitespace().count() >= 20, "{text}");
    assert_eq!(record.sections[&0].ended, [EndReason::EndOfTurn]);
}

#[test]
fn seed_stream_and_attempt_change_the_text_and_nothing_else_does() {
    let spec = || document(Layout::Turns, vec![section("free", 300)]);
    let first = write(spec(), Script::default());
    assert_eq!(first.texts(), write(spec(), Script::default()).texts());
    let mut others = [spec(), spec(), spec()];
    others[0].seed = 12;
    others[1].stream = 1;
    others[2].attempt = 1;
    for other in others {
        assert_ne!(first.texts(), write(other, Script::default()).texts());
    }
}

#[test]
fn each_fault_has_its_name_and_keeps_the_text() {
    let cases = [
        (InjectedFault::NoRoom, "no_room"),
        (InjectedFault::Aborted, "aborted"),
        (InjectedFault::InvalidBatch, "invalid_batch"),
        (InjectedFault::Failed, "decode_failed"),
        (InjectedFault::Nan, "not_finite"),
    ];
    for (fault, name) in cases {
        let script = Script {
            faults: vec![(8, fault)],
            ..answers(SEA)
        };
        let mut engine = engine(limits(1, 4096, 64), script);
        engine.add(0, three_sections(Layout::Turns)).unwrap();
        let mut recorder = Recorder::default();
        run(&mut engine, &mut recorder);
        let record = &recorder.documents[&0];
        let [Some(found)] = record.ends.as_slice() else {
            panic!("{:?}", record.ends)
        };
        assert_eq!(found.name(), name);
        assert!(!found.message().is_empty());
        assert_eq!(record.sections[&0].text, "The sea");
        assert_eq!(record.sections[&0].tokens, tokens("The sea "));
    }
}

#[test]
fn a_fault_names_what_the_backend_said() {
    assert_eq!(
        Fault::Decode(DecodeError::Failed { code: -3 }).message(),
        "the backend failed with code -3"
    );
    assert!(
        Fault::Sample(SampleError::NotFinite { token: 5 })
            .message()
            .contains("not finite")
    );
}

#[test]
fn what_can_never_be_written_is_refused_with_a_reason() {
    let mut engine = engine(limits(1, 100, 16), Script::default());
    let cases = [
        (document(Layout::Turns, vec![]), SpecError::NoSections),
        (
            document(Layout::Turns, vec![section("a", 0)]),
            SpecError::NoTokens { section: 0 },
        ),
        (
            document(Layout::Turns, vec![section("a", 100)]),
            SpecError::TooLarge {
                needed: 123,
                cells: 100,
            },
        ),
    ];
    for (spec, error) in cases {
        assert_eq!(engine.add(0, spec), Err(error));
    }
    let mut spec = document(Layout::Turns, vec![section("a", 5)]);
    spec.sections[0].open.clear();
    assert_eq!(
        engine.add(0, spec),
        Err(SpecError::EmptyOpen { section: 0 })
    );
    let mut spec = document(Layout::Turns, vec![section("a", 5), section("b", 5)]);
    spec.sections[1].finished = true;
    assert_eq!(
        engine.add(0, spec),
        Err(SpecError::OutOfOrder { section: 1 })
    );
    assert!(engine.is_idle());
}

#[test]
fn a_document_that_was_whole_already_ends_at_once() {
    let mut spec = document(Layout::Turns, vec![section("step 0", 50)]);
    spec.sections[0].written = tokens("The sea is wide.");
    spec.sections[0].finished = true;
    let record = write(spec, answers(SEA));
    assert_eq!(record.ends, [None]);
    assert!(record.sections.is_empty());
}

#[test]
fn progress_of_reading_is_told() {
    let mut engine = engine(limits(1, 4096, 8), answers(SEA));
    engine.add(0, three_sections(Layout::Turns)).unwrap();
    let mut seen = Vec::new();
    while !engine.is_idle() {
        engine.step(&mut |event| {
            if let Event::Prefill {
                section: 0,
                done,
                total,
                ..
            } = event
            {
                seen.push((done, total));
            }
        });
    }
    assert_eq!(seen, [(8, 28), (16, 28), (24, 28), (28, 28)]);
}

proptest! {
    /// Killed after any number of tokens and continued, a run gives the text that it would have given.
    #[test]
    fn a_resumed_run_writes_what_it_would_have_written(
        in_paper in any::<bool>(),
        seed in any::<u64>(),
        cut in 0..900_usize,
    ) {
        let spec = || {
            let layout = if in_paper { paper() } else { Layout::Turns };
            let said = ["free", "step 1", "labelled"];
            let sections = said.iter().map(|step| section(step, 300)).collect();
            let mut spec = document(layout, sections);
            spec.seed = seed;
            spec
        };
        let script = || answers(&[
            ("step 1", "One two.\n\nTitle 2\n\nthree"),
            ("labelled", "Paragraph 3: Four five."),
        ]);
        let whole = write(spec(), script());

        // The store of the killed process: tokens as they were reported, up to the cut.
        let mut engine = engine(limits(1, 1 << 16, 32), script());
        engine.add(0, spec()).unwrap();
        let mut stored = Recorder::default();
        let mut sampled = 0;
        while sampled < cut && !engine.is_idle() {
            engine.step(&mut |event| {
                sampled += usize::from(matches!(event, Event::Text { .. }));
                stored.take(event);
            });
        }
        let mut resumed = spec();
        if let Some(record) = stored.documents.get(&0) {
            for (&number, told) in &record.sections {
                resumed.sections[number].written = told.tokens.clone();
                resumed.sections[number].finished = !told.ended.is_empty();
            }
        }
        let rest = write(resumed, script());
        for (number, told) in &whole.sections {
            match rest.sections.get(number) {
                Some(continued) => {
                    prop_assert_eq!(&continued.text, &told.text);
                    prop_assert_eq!(&continued.ended, &told.ended);
                }
                None => prop_assert_eq!(&stored.documents[&0].sections[number], told),
            }
        }
        prop_assert_eq!(rest.ends, vec![None]);
    }
}
