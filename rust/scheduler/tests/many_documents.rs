//! Many documents on one backend: nobody disturbs anybody, everything ends once.

mod common;

use common::{Recorder, answers, document, engine, limits, paper, run, section, tokens, write};
use longwriter_scheduler::backend::Limits;
use longwriter_scheduler::document::{DocumentSpec, Layout};
use longwriter_scheduler::event::{Event, Fault};
use longwriter_scheduler::fake::{FakeBackend, InjectedFault, Script};
use longwriter_scheduler::scheduler::{MOST_OVERTAKES, Scheduler, StepResult};
use proptest::prelude::*;

/// A document whose text depends on `number` and on everything that it was shown.
fn numbered(number: u32, sections: usize, layout: Layout) -> DocumentSpec {
    let steps = (0..sections)
        .map(|step| section(&format!("free {number} {step}"), 90))
        .collect();
    let mut spec = document(layout, steps);
    spec.stream = number;
    spec
}

fn guided() -> Layout {
    Layout::Guided {
        leads: [tokens("\n\n"), tokens("\n"), Vec::new()],
    }
}

fn arbitrary_document() -> impl Strategy<Value = (usize, Layout)> {
    let layouts = [Layout::Turns, paper(), guided(), Layout::Parallel];
    (1..4_usize, prop::sample::select(layouts.to_vec()))
}

proptest! {
    /// In any company, with any budget, a document becomes what it becomes alone.
    #[test]
    fn company_does_not_change_a_document(
        documents in prop::collection::vec(arbitrary_document(), 1..7),
        sequences in 1..5_u32,
        batch_tokens in 5..40_u32,
        cells in 600..4000_u32,
        prompt_chunk in 1..40_u32,
        shared_cells: bool,
    ) {
        let limits = Limits { prompt_chunk, shared_cells, ..limits(sequences, cells, batch_tokens) };
        let mut engine = engine(limits, Script::default());
        for (number, (sections, layout)) in (0..).zip(&documents) {
            engine.add(number, numbered(number, *sections, layout.clone())).unwrap();
        }
        let mut recorder = Recorder::default();
        run(&mut engine, &mut recorder);
        for (number, (sections, layout)) in (0..).zip(&documents) {
            let together = &recorder.documents[&number];
            let alone = write(numbered(number, *sections, layout.clone()), Script::default());
            prop_assert_eq!(together.texts(), alone.texts());
            prop_assert_eq!(&together.ends, &[None]);
            // Where cells cannot be shared, each section in parallel reads the prefix for itself.
            if shared_cells || *layout != Layout::Parallel {
                prop_assert_eq!(together.usage.tokens_reread, alone.usage.tokens_reread);
            }
        }
        for sequence in 0..sequences {
            // The last trims run with the next step, so take them by adding nothing and stepping.
            engine.step(&mut |_| {});
            prop_assert!(engine.backend().cached(sequence).is_empty());
        }
    }

    /// Whatever is added, cancelled and broken in whatever order: sections end once and in order,
    /// documents end once, and the invariants hold after every step.
    #[test]
    fn everything_ends_exactly_once(
        actions in prop::collection::vec((0..4_u8, arbitrary_document(), 1..30_usize), 1..14),
        faults in prop::collection::vec((0..300_usize, 0..5_usize), 0..5),
        sequences in 1..4_u32,
    ) {
        let kinds = [
            InjectedFault::NoRoom,
            InjectedFault::Aborted,
            InjectedFault::InvalidBatch,
            InjectedFault::Failed,
            InjectedFault::Nan,
        ];
        let faults = faults.into_iter().map(|(call, kind)| (call, kinds[kind])).collect();
        let script = Script { faults, ..Script::default() };
        let mut engine = engine(limits(sequences, 2000, 16), script);
        let mut recorder = Recorder::default();
        let mut added = 0;
        for (action, (sections, layout), steps) in actions {
            match action {
                0 | 1 => {
                    engine.add(added, numbered(added, sections, layout)).unwrap();
                    added += 1;
                }
                2 => engine.cancel(added / 2, &mut |event| recorder.take(event)),
                _ => {
                    for _ in 0..steps {
                        engine.step(&mut |event| recorder.take(event));
                        engine.scheduler().check_integrity().unwrap();
                    }
                }
            }
            engine.scheduler().check_integrity().unwrap();
        }
        run(&mut engine, &mut recorder);
        prop_assert_eq!(recorder.documents.len(), added as usize);
        for record in recorder.documents.values() {
            prop_assert_eq!(record.ends.len(), 1);
            for told in record.sections.values() {
                prop_assert_eq!(told.started, 1);
                prop_assert!(told.ended.len() <= 1);
                prop_assert!(told.tokens.len() <= 90);
                prop_assert!(record.ends[0].is_some() || told.ended.len() == 1);
            }
        }
    }

    /// The plan of a step keeps the budgets, whatever the results were.
    #[test]
    fn a_step_keeps_its_budget(
        sequences in 1..6_u32,
        extra in 0..20_u32,
        tokens in prop::collection::vec(0..260_i32, 1..400),
    ) {
        let limits = limits(sequences, 3000, sequences + extra);
        let layouts = [Layout::Turns, paper(), guided(), Layout::Parallel];
        let backend = FakeBackend::new(limits, Script::default());
        let mut scheduler = Scheduler::new(limits, vec![longwriter_scheduler::fake::END]);
        for number in 0..8 {
            let layout = layouts[number as usize % 4].clone();
            scheduler.add(number, numbered(number, 2, layout), &backend).unwrap();
        }
        let mut sampled = tokens.into_iter();
        while sampled.len() > 0 {
            scheduler.admit(&backend);
            scheduler.take_shares();
            scheduler.take_trims();
            let plan = scheduler.schedule();
            if plan.rows.is_empty() {
                break;
            }
            prop_assert!(plan.rows.len() <= limits.batch_tokens as usize);
            prop_assert!(plan.outputs.len() <= limits.outputs as usize);
            prop_assert_eq!(plan.rows.iter().filter(|row| row.output).count(), plan.outputs.len());
            prop_assert_eq!(plan.feeds.iter().map(|feed| feed.rows).sum::<usize>(), plan.rows.len());
            prop_assert!(plan.outputs.iter().all(|output| plan.rows[output.row].output));
            let samples =
                plan.outputs.iter().map(|_| Ok(sampled.next().unwrap_or(65))).collect();
            scheduler.apply(&plan, StepResult { decode: Ok(()), samples }, &backend);
            scheduler.check_integrity().unwrap();
        }
    }
}

#[test]
fn writers_go_first_and_prompts_fill_the_rest_of_the_budget() {
    let mut engine = engine(limits(3, 4000, 10), Script::default());
    engine.add(0, numbered(0, 1, Layout::Turns)).unwrap();
    let mut recorder = Recorder::default();
    while recorder
        .documents
        .get(&0)
        .is_none_or(|record| record.sections[&0].tokens.len() < 2)
    {
        engine.step(&mut |event| recorder.take(event));
    }
    engine.add(1, numbered(1, 1, Layout::Turns)).unwrap();
    engine.step(&mut |event| recorder.take(event));
    let plan = engine.scheduler().schedule();
    let feeds: Vec<_> = plan
        .feeds
        .iter()
        .map(|feed| (feed.document, feed.rows, feed.prefill))
        .collect();
    assert_eq!(feeds, [(0, 1, false), (1, 9, true)]);
}

#[test]
fn documents_wait_in_order_until_their_whole_length_fits() {
    let spec = || numbered(0, 1, Layout::Turns);
    let cells = u32::try_from(spec().reserve()).unwrap();
    let mut engine = engine(limits(4, cells + cells / 2, 32), Script::default());
    for number in 0..3 {
        engine.add(number, spec()).unwrap();
    }
    let mut recorder = Recorder::default();
    engine.step(&mut |event| recorder.take(event));
    assert_eq!(recorder.documents.keys().copied().collect::<Vec<_>>(), [0]);
    run(&mut engine, &mut recorder);
    assert!(
        recorder
            .documents
            .values()
            .all(|record| record.ends == [None])
    );
}

#[test]
fn a_fault_in_one_section_leaves_the_others_alone() {
    // Both documents are read in evaluation 0; no room in evaluation 5 ends the younger one.
    let script = Script {
        faults: vec![(5, InjectedFault::NoRoom)],
        ..Script::default()
    };
    let mut engine = engine(limits(2, 4000, 128), script);
    engine.add(0, numbered(0, 2, Layout::Turns)).unwrap();
    engine.add(1, numbered(1, 2, Layout::Turns)).unwrap();
    let mut recorder = Recorder::default();
    run(&mut engine, &mut recorder);
    let alone = write(numbered(0, 2, Layout::Turns), Script::default());
    assert_eq!(recorder.documents[&0].texts(), alone.texts());
    assert_eq!(recorder.documents[&0].ends, [None]);
    assert_eq!(
        recorder.documents[&1].ends[0].as_ref().map(Fault::name),
        Some("no_room")
    );
    assert!(
        !recorder.documents[&1].sections[&0].tokens.is_empty(),
        "its text is kept"
    );
}

#[test]
fn a_failed_evaluation_ends_only_the_document_that_fails_again() {
    // Evaluation 5 fails with both; then each is read alone, and the first of them fails again.
    for kind in [
        InjectedFault::Failed,
        InjectedFault::Aborted,
        InjectedFault::InvalidBatch,
    ] {
        let script = Script {
            faults: vec![(5, kind), (6, kind)],
            ..Script::default()
        };
        let mut engine = engine(limits(2, 4000, 128), script);
        engine.add(0, numbered(0, 2, Layout::Turns)).unwrap();
        engine.add(1, numbered(1, 2, Layout::Parallel)).unwrap();
        let mut recorder = Recorder::default();
        run(&mut engine, &mut recorder);
        let alone = write(numbered(1, 2, Layout::Parallel), Script::default());
        assert!(recorder.documents[&0].ends[0].is_some(), "{kind:?}");
        assert_eq!(recorder.documents[&1].ends, [None], "{kind:?}");
        assert_eq!(recorder.documents[&1].texts(), alone.texts(), "{kind:?}");
        assert!(recorder.documents[&1].usage.tokens_reread > 0, "{kind:?}");
    }
}

#[test]
fn a_failure_that_does_not_come_again_ends_nobody() {
    let script = Script {
        faults: vec![(5, InjectedFault::Failed)],
        ..Script::default()
    };
    let mut engine = engine(limits(3, 4000, 128), script);
    for number in 0..3 {
        engine
            .add(number, numbered(number, 2, Layout::Turns))
            .unwrap();
    }
    let mut recorder = Recorder::default();
    run(&mut engine, &mut recorder);
    for number in 0..3 {
        let alone = write(numbered(number, 2, Layout::Turns), Script::default());
        assert_eq!(recorder.documents[&number].ends, [None]);
        assert_eq!(recorder.documents[&number].texts(), alone.texts());
    }
}

#[test]
fn short_documents_overtake_a_long_one_that_waits_but_not_for_ever() {
    let short = numbered(0, 1, Layout::Turns).reserve();
    let long = numbered(1, 3, Layout::Turns).reserve();
    // While one short document runs there is no room for the long one.
    let cells = u32::try_from(long + short - 1).unwrap();
    let mut engine = engine(limits(2, cells, 64), Script::default());
    let mut recorder = Recorder::default();
    engine.add(0, numbered(0, 1, Layout::Turns)).unwrap();
    engine.add(1, numbered(1, 3, Layout::Turns)).unwrap();
    let shorts = MOST_OVERTAKES + 8;
    for number in 2..shorts {
        engine
            .add(number, numbered(number, 1, Layout::Turns))
            .unwrap();
    }
    let mut ended = Vec::new();
    while !engine.is_idle() {
        engine.step(&mut |event| {
            if let Event::DocumentEnded { document, .. } = &event {
                ended.push(*document);
            }
            recorder.take(event);
        });
        engine.scheduler().check_integrity().unwrap();
    }
    let place = ended.iter().position(|&number| number == 1).unwrap();
    assert!(
        ended[0] == 0 && place > 1,
        "short ones went first: {ended:?}"
    );
    let after: Vec<_> = ended[place + 1..].to_vec();
    assert!(!after.is_empty(), "the last ones waited: {ended:?}");
}

#[test]
fn a_long_prompt_is_read_in_chunks_while_others_write() {
    let limits = Limits {
        prompt_chunk: 3,
        ..limits(2, 4000, 64)
    };
    let mut engine = engine(limits, Script::default());
    engine.add(0, numbered(0, 1, Layout::Turns)).unwrap();
    let mut recorder = Recorder::default();
    engine.step(&mut |event| recorder.take(event));
    engine.step(&mut |event| recorder.take(event));
    engine.add(1, numbered(1, 1, Layout::Turns)).unwrap();
    engine.step(&mut |event| recorder.take(event));
    let plan = engine.scheduler().schedule();
    let rows: Vec<_> = plan
        .feeds
        .iter()
        .map(|feed| (feed.rows, feed.prefill))
        .collect();
    assert_eq!(rows, [(1, false), (3, true)]);
}

#[test]
fn sequences_that_nobody_waits_for_go_to_sections_in_parallel() {
    let mut engine = engine(limits(3, 8000, 256), Script::default());
    engine.add(0, numbered(0, 5, Layout::Parallel)).unwrap();
    engine.add(1, numbered(1, 2, Layout::Parallel)).unwrap();
    let mut recorder = Recorder::default();
    let mut most = 0;
    while !engine.is_idle() {
        engine.step(&mut |event| recorder.take(event));
        most = most.max(engine.scheduler().sequences_in_use());
    }
    assert_eq!(most, 3);
    // The prefix was read once for each document, not for each section.
    let prefix = document(Layout::Parallel, Vec::new()).prefix.len() as u64;
    for (number, sections) in [(0, 5), (1, 2)] {
        let spec = numbered(number, sections, Layout::Parallel);
        let opens: usize = spec.sections.iter().map(|section| section.open.len()).sum();
        let usage = recorder.documents[&number].usage;
        assert_eq!(usage.tokens_read, prefix + opens as u64);
        assert_eq!(usage.tokens_reread, 0);
    }
}

#[test]
fn a_cancelled_document_frees_its_place() {
    let mut engine = engine(limits(1, 4000, 64), answers(&[("free 1", "Done.")]));
    engine.add(0, numbered(0, 3, Layout::Turns)).unwrap();
    engine.add(1, numbered(1, 1, Layout::Turns)).unwrap();
    engine.add(2, numbered(2, 1, Layout::Turns)).unwrap();
    let mut recorder = Recorder::default();
    engine.step(&mut |event| recorder.take(event));
    engine.cancel(0, &mut |event| recorder.take(event));
    engine.cancel(2, &mut |event| recorder.take(event));
    engine.cancel(2, &mut |event| recorder.take(event));
    run(&mut engine, &mut recorder);
    assert_eq!(recorder.documents[&0].ends, [Some(Fault::Cancelled)]);
    assert_eq!(recorder.documents[&2].ends, [Some(Fault::Cancelled)]);
    assert_eq!(recorder.documents[&1].texts(), ["Done."]);
}

#[test]
#[should_panic(expected = "one token of every sequence")]
fn a_batch_smaller_than_the_number_of_sequences_is_refused() {
    engine(limits(4, 100, 2), Script::default());
}
