//! Time of one step of the scheduler, `schedule()` and `apply()`, while 64 sections are written.
//!
//!     cargo bench -p longwriter-scheduler --bench step

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use longwriter_scheduler::backend::{Limits, Token};
use longwriter_scheduler::document::{DocumentSpec, Layout, SectionSpec};
use longwriter_scheduler::fake::{END, FakeBackend, Script};
use longwriter_scheduler::scheduler::{Scheduler, StepPlan, StepResult};
use longwriter_scheduler::text::Surroundings;

const SECTIONS: u32 = 64;
const STEPS: usize = 4000;
const TEXT: &[u8] =
    b"The harbour was quiet when the first boats came back, and nobody counted them. ";

fn main() {
    let tokens = STEPS as u32 + 100;
    let limits = Limits {
        sequences: SECTIONS,
        cells: SECTIONS * (tokens + 100),
        cells_per_sequence: tokens + 100,
        shared_cells: false,
        batch_tokens: 512,
        prompt_chunk: 256,
        outputs: SECTIONS,
    };
    let backend = FakeBackend::new(limits, Script::default());
    let mut scheduler = Scheduler::new(limits, vec![END]);
    for number in 0..SECTIONS {
        scheduler
            .add(number, document(number, tokens), &backend)
            .expect("a document that fits");
    }
    scheduler.admit(&backend);
    while !all_write(&scheduler.schedule()) {
        step(&mut scheduler, &backend, TEXT[0]);
    }
    let mut micros: Vec<f64> = (0..STEPS)
        .map(|number| {
            let started = Instant::now();
            step(&mut scheduler, &backend, TEXT[number % TEXT.len()]);
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    assert!(all_write(&scheduler.schedule()), "no section has ended");
    micros.sort_by(f64::total_cmp);
    println!(
        "one step with {SECTIONS} sections: median {:.1} µs, 99% {:.1} µs, of {STEPS}",
        micros[STEPS / 2],
        micros[STEPS * 99 / 100]
    );
}

fn all_write(plan: &StepPlan) -> bool {
    plan.rows.len() == SECTIONS as usize && plan.feeds.iter().all(|feed| !feed.prefill)
}

/// One step whose sections all sample the same byte.
fn step(scheduler: &mut Scheduler, backend: &FakeBackend, byte: u8) {
    black_box(scheduler.admit(backend));
    black_box(scheduler.take_trims());
    let plan = black_box(scheduler.schedule());
    let samples = plan.outputs.iter().map(|_| Ok(Token::from(byte))).collect();
    let result = StepResult {
        decode: Ok(()),
        samples,
    };
    black_box(scheduler.apply(&plan, result, backend));
}

fn document(number: u32, tokens: u32) -> DocumentSpec {
    DocumentSpec {
        prefix: vec![65; 20],
        sections: vec![SectionSpec {
            open: vec![66; 20],
            max_tokens: tokens,
            ..SectionSpec::default()
        }],
        layout: Layout::Turns,
        window: None,
        rebalance: false,
        surroundings: Arc::new(Surroundings {
            titles: vec!["The Harbour".to_owned()],
            echoes: vec!["Write about a harbour town.".to_owned()],
            enabled: true,
        }),
        chain: 0,
        seed: 1,
        stream: number,
        attempt: 0,
    }
}
