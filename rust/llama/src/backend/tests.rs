//! The backend on mocked C functions.

use super::*;
use crate::mock::{backend_of, config, with};

fn backend() -> LlamaBackend {
    backend_of(config())
}

fn rows(tokens: &[Token], from: u32) -> Vec<Row> {
    let last = tokens.len() - 1;
    let row = |(offset, &token): (usize, &Token)| Row {
        token,
        position: from + offset as u32,
        sequence: 0,
        output: offset == last,
    };
    tokens.iter().enumerate().map(row).collect()
}

#[test]
fn a_null_address_is_named() {
    for (change, what) in [
        (
            (|config: &mut LlamaConfig| config.context = 0) as fn(&mut LlamaConfig),
            "the context",
        ),
        (|config| config.vocabulary = 0, "the vocabulary"),
    ] {
        let mut config = config();
        change(&mut config);
        let error = LlamaBackend::new(config).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn pieces_of_any_length_are_read_and_others_are_empty() {
    let backend = backend();
    assert_eq!(backend.piece(0), b"a");
    assert_eq!(backend.piece(1), b"bc");
    assert_eq!(backend.piece(2), [b'x'; 300]);
    for token in [3, 4, -1, Token::MAX] {
        assert_eq!(backend.piece(token), b"", "{token}");
    }
}

#[test]
fn a_piece_that_cannot_be_read_names_its_token() {
    for answer in [-65537, -300, i32::MIN, i32::MAX] {
        let config = config();
        with(|mock| mock.piece_answer = Some(answer));
        let error = LlamaBackend::new(config).unwrap_err().to_string();
        assert!(error.contains("token 0"), "{error}");
        assert!(error.contains(&answer.to_string()), "{error}");
    }
}

#[test]
fn an_empty_vocabulary_is_refused() {
    let config = config();
    with(|mock| mock.pieces.clear());
    let error = LlamaBackend::new(config).unwrap_err().to_string();
    assert!(error.contains("0 tokens"), "{error}");
}

#[test]
fn sizes_that_no_context_has_are_named() {
    for (change, what) in [
        (
            (|limits: &mut Limits| limits.sequences = 257) as fn(&mut Limits),
            "sequences = 257",
        ),
        (|limits| limits.sequences = 0, "sequences = 0"),
        (|limits| limits.cells = 0, "cells = 0"),
        (|limits| limits.batch_tokens = 0, "batch_tokens = 0"),
        (|limits| limits.outputs = 0, "outputs = 0"),
    ] {
        let mut config = config();
        change(&mut config.limits);
        let error = LlamaBackend::new(config).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn what_a_context_holds_already_is_known() {
    let config = config();
    with(|mock| mock.cache[0] = vec![0, 1, 2]);
    let mut backend = backend_of(config);
    let error = backend.decode(&rows(&[1], 0)).unwrap_err().to_string();
    assert!(error.contains("holds 3 tokens"), "{error}");
    assert_eq!(backend.truncate(0, 0), Ok(()));
    assert_eq!(backend.decode(&rows(&[1], 0)), Ok(()));
    assert_eq!(with(|mock| mock.cache[0].clone()), [1]);
}

#[test]
fn rows_are_evaluated_and_kept() {
    let mut backend = backend();
    backend.decode(&rows(&[0, 1], 0)).unwrap();
    backend.decode(&rows(&[2], 2)).unwrap();
    assert_eq!(with(|mock| mock.cache[0].clone()), [0, 1, 2]);
}

#[test]
fn each_return_code_is_another_error() {
    let cases = [
        (1, DecodeError::NoRoom { rows: 2 }),
        (2, DecodeError::Aborted),
        (
            -1,
            DecodeError::InvalidBatch {
                reason: "llama.cpp calls it invalid".to_owned(),
            },
        ),
        (-3, DecodeError::Failed { code: -3 }),
    ];
    for (code, error) in cases {
        let mut backend = backend();
        with(|mock| mock.code = code);
        assert_eq!(backend.decode(&rows(&[0, 1], 0)), Err(error));
        let mut sampler = backend.open_sampler(0, &[]);
        let result = backend.candidates(1, &mut sampler, &[], Constraint::Ignored);
        assert_eq!(
            result,
            Err(SampleError::NoLogits { row: 1 }),
            "no logits after {code}"
        );
        // Positions go on behind what is really there: one row after 2 and below −1, else none.
        with(|mock| mock.code = 0);
        let kept = u32::from(code == 2 || code < -1);
        assert_eq!(backend.decode(&rows(&[1], kept)), Ok(()), "after {code}");
    }
}

#[test]
fn what_llama_cpp_would_abort_on_never_reaches_it() {
    let mut backend = backend();
    let output = |sequence| Row {
        token: 0,
        position: 0,
        sequence,
        output: true,
    };
    let mut many_outputs = rows(&[0, 1, 2], 0);
    many_outputs.iter_mut().for_each(|row| row.output = true);
    let cases = [
        vec![],
        rows(&[0, 1, 2, 0, 1], 0),
        many_outputs,
        rows(&[0], 1),
        rows(&[4], 0),
        rows(&[-1], 0),
        vec![output(2)],
        vec![output(0), output(0)],
    ];
    for case in cases {
        let result = backend.decode(&case);
        assert!(
            matches!(result, Err(DecodeError::InvalidBatch { .. })),
            "{case:?}: {result:?}"
        );
    }
    assert_eq!(with(|mock| mock.decodes), 0);
}

#[test]
fn a_sequence_is_cut_and_goes_on_from_there() {
    let mut backend = backend();
    backend.decode(&rows(&[0, 1, 2], 0)).unwrap();
    backend.truncate(0, 1).unwrap();
    backend.truncate(0, 5).unwrap();
    backend.decode(&rows(&[2], 1)).unwrap();
    assert_eq!(with(|mock| mock.cache[0].clone()), [0, 2]);
    assert!(backend.truncate(9, 0).is_err());
}

#[test]
fn a_cache_that_cannot_be_cut_says_so_and_can_be_emptied() {
    let mut backend = backend();
    backend.decode(&rows(&[0, 1], 0)).unwrap();
    with(|mock| mock.removable = false);
    assert!(backend.truncate(0, 1).is_err());
    assert_eq!(backend.truncate(0, 0), Ok(()));
    assert_eq!(backend.decode(&rows(&[2], 0)), Ok(()));
}

fn offered(backend: &mut LlamaBackend, chain: usize, banned: &[Token]) -> Vec<Token> {
    let mut sampler = backend.open_sampler(chain, &[]);
    let candidates = backend
        .candidates(0, &mut sampler, banned, Constraint::Applied)
        .unwrap();
    let possible = candidates
        .iter()
        .filter(|candidate| candidate.logit > f32::NEG_INFINITY);
    possible.map(|candidate| candidate.token).collect()
}

#[test]
fn suppressed_and_banned_tokens_are_never_offered() {
    let mut config = config();
    config.suppressed = vec![3, 99, -5];
    let mut backend = backend_of(config);
    backend.decode(&rows(&[0], 0)).unwrap();
    assert_eq!(offered(&mut backend, 0, &[]), [2, 1, 0]);
    assert_eq!(offered(&mut backend, 0, &[2, 77]), [1, 0]);
    let mut sampler = backend.open_sampler(0, &[]);
    let none = backend.candidates(0, &mut sampler, &[0, 1, 2], Constraint::Ignored);
    assert_eq!(none, Err(SampleError::NoCandidates));
}

#[test]
fn the_grammar_comes_before_the_chain() {
    let mut backend = backend();
    backend.decode(&rows(&[0], 0)).unwrap();
    // The chain alone would drop token 0, the least likely one.
    with(|mock| mock.allowed = vec![0]);
    assert_eq!(offered(&mut backend, 1, &[]), [0]);
    let calls = with(|mock| mock.calls.clone());
    assert_eq!(
        calls,
        ["apply grammar", "apply chain", "free chain", "free grammar"]
    );
}

#[test]
fn without_the_constraint_the_grammar_is_not_asked() {
    let mut backend = backend();
    backend.decode(&rows(&[0], 0)).unwrap();
    let mut sampler = backend.open_sampler(1, &[]);
    backend
        .candidates(0, &mut sampler, &[], Constraint::Ignored)
        .unwrap();
    assert_eq!(with(|mock| mock.calls.clone()), ["apply chain"]);
}

#[test]
fn the_grammar_admits_single_tokens() {
    let mut backend = backend();
    with(|mock| mock.allowed = vec![2]);
    let mut free = backend.open_sampler(0, &[]);
    let mut constrained = backend.open_sampler(1, &[]);
    assert!(backend.admits(&mut free, 1));
    assert!(!backend.admits(&mut constrained, 1));
    assert!(backend.admits(&mut constrained, 2));
}

#[test]
fn candidates_that_a_sampler_leaves_elsewhere_are_found() {
    let mut backend = backend();
    backend.decode(&rows(&[0], 0)).unwrap();
    with(|mock| mock.elsewhere = Some(Vec::new()));
    assert_eq!(offered(&mut backend, 0, &[]), [3, 2, 1]);
}

#[test]
#[should_panic(expected = "token 1 was chosen against the grammar")]
fn a_choice_against_the_grammar_never_reaches_llama_cpp() {
    let mut backend = backend();
    with(|mock| mock.allowed = vec![2]);
    let mut sampler = backend.open_sampler(1, &[]);
    backend.accept(&mut sampler, 1);
}

#[test]
fn history_goes_to_the_chain_and_choices_to_both() {
    let mut backend = backend();
    with(|mock| mock.allowed = vec![2]);
    let mut sampler = backend.open_sampler(1, &[3, 1]);
    backend.accept(&mut sampler, 2);
    assert_eq!(
        with(|mock| mock.calls.clone()),
        [
            "accept chain 3",
            "accept chain 1",
            "apply grammar",
            "accept grammar 2",
            "accept chain 2"
        ]
    );
}

#[test]
fn every_clone_is_freed_once() {
    let mut backend = backend();
    let samplers = [backend.open_sampler(0, &[]), backend.open_sampler(1, &[])];
    assert_eq!(with(|mock| mock.clones.len()), 3);
    drop(samplers);
    assert_eq!(with(|mock| mock.clones.len()), 0);
    assert_eq!(with(|mock| mock.calls.len()), 3);
}

#[test]
#[should_panic(expected = "sampler chain 2 of 2")]
fn a_chain_that_does_not_exist_is_a_fault_of_the_caller() {
    backend().open_sampler(2, &[]);
}

#[test]
fn broken_logits_are_named_and_never_sampled() {
    let mut backend = backend();
    backend.decode(&rows(&[0], 0)).unwrap();
    for (logit, at) in [(f32::NAN, 2), (f32::INFINITY, 1)] {
        with(|mock| mock.logits = vec![0.0; 4]);
        with(|mock| mock.logits[at] = logit);
        let mut sampler = backend.open_sampler(0, &[]);
        let result = backend.candidates(0, &mut sampler, &[], Constraint::Ignored);
        assert_eq!(result, Err(SampleError::NotFinite { token: at as Token }));
    }
    assert!(with(|mock| mock
        .calls
        .iter()
        .all(|call| !call.starts_with("apply"))));
}

#[test]
fn logits_that_rule_a_token_out_are_no_fault() {
    let mut backend = backend();
    backend.decode(&rows(&[0], 0)).unwrap();
    with(|mock| mock.logits[3] = f32::NEG_INFINITY);
    assert_eq!(offered(&mut backend, 0, &[]), [2, 1, 0]);
}

#[test]
fn a_row_without_logits_is_named() {
    let mut backend = backend();
    backend.decode(&rows(&[0, 1], 0)).unwrap();
    let mut sampler = backend.open_sampler(0, &[]);
    for row in [0, 2] {
        let result = backend.candidates(row, &mut sampler, &[], Constraint::Ignored);
        assert_eq!(result, Err(SampleError::NoLogits { row }));
    }
    with(|mock| mock.logits.clear());
    let result = backend.candidates(1, &mut sampler, &[], Constraint::Ignored);
    assert_eq!(result, Err(SampleError::NoLogits { row: 1 }));
}

#[test]
fn a_prefix_is_shared_with_an_empty_sequence_only() {
    let mut backend = backend();
    backend.decode(&rows(&[0, 1, 2], 0)).unwrap();
    assert!(backend.share(0, 1, 4).is_err(), "more than there is");
    assert!(backend.share(0, 0, 2).is_err(), "with itself");
    assert!(
        backend.share(0, 9, 2).is_err(),
        "with a sequence that is not there"
    );
    backend.share(0, 1, 2).unwrap();
    assert_eq!(with(|mock| mock.cache[1].clone()), [0, 1]);
    assert!(backend.share(0, 1, 2).is_err(), "it holds something now");
    let next = Row {
        token: 1,
        position: 2,
        sequence: 1,
        output: true,
    };
    backend.decode(&[next]).unwrap();
}

#[test]
fn a_split_cache_shares_nothing() {
    let mut config = config();
    config.limits.shared_cells = false;
    let mut backend = backend_of(config);
    backend.decode(&rows(&[0, 1], 0)).unwrap();
    assert!(backend.share(0, 1, 2).is_err());
}
