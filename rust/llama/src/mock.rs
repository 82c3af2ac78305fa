//! C functions that behave like llama.cpp's as far as the tests need, on a state of the test's thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_char;

use longwriter_scheduler::backend::{Backend, Limits, Token};

use crate::abi::{LlamaBatch, TokenData, TokenDataArray, expected_layouts};
use crate::api::{Context, FoundFunction, Memory, REQUIRED, Sampler, Vocab};
use crate::backend::{LlamaBackend, LlamaConfig};

/// Addresses that stand for objects; the mocks never look behind them.
const CONTEXT: usize = 0x1000;
const VOCABULARY: usize = 0x2000;
const CHAIN: usize = 0x3000;
const GRAMMAR: usize = 0x4000;
/// Clones of the chain and the grammar get addresses from here on.
const CLONES: usize = 0x1_0000;

/// What the mocks do and what they have seen.
#[derive(Debug, Default)]
pub(crate) struct Mock {
    /// What `llama_decode` returns.
    pub(crate) code: i32,
    /// Tokens of each sequence.
    pub(crate) cache: Vec<Vec<Token>>,
    /// Logits after every row; null for an empty list.
    pub(crate) logits: Vec<f32>,
    /// Whether a part of a sequence can be removed.
    pub(crate) removable: bool,
    /// Pieces of the vocabulary.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// What `llama_token_to_piece` answers instead of writing a piece.
    pub(crate) piece_answer: Option<i32>,
    /// Where the chain leaves its candidates, if not in place.
    pub(crate) elsewhere: Option<Vec<TokenData>>,
    /// The only tokens that the grammar allows.
    pub(crate) allowed: Vec<Token>,
    /// Live clones and what they stand for.
    pub(crate) clones: BTreeMap<usize, usize>,
    /// Names of the sampler calls, in order.
    pub(crate) calls: Vec<String>,
    /// How often `llama_decode` was called.
    pub(crate) decodes: usize,
}

thread_local! {
    static MOCK: RefCell<Mock> = RefCell::new(Mock::default());
}

/// Reads or changes the state of this test.
pub(crate) fn with<T>(change: impl FnOnce(&mut Mock) -> T) -> T {
    MOCK.with_borrow_mut(change)
}

/// A configuration for the mocks: a vocabulary of four tokens, two sequences, batches of four.
pub(crate) fn config() -> LlamaConfig {
    with(|mock| {
        *mock = Mock {
            cache: vec![Vec::new(); 2],
            logits: vec![1.0, 2.0, 3.0, 4.0],
            removable: true,
            pieces: vec![b"a".to_vec(), b"bc".to_vec(), vec![b'x'; 300], Vec::new()],
            ..Mock::default()
        };
    });
    LlamaConfig {
        functions: functions(),
        layouts: expected_layouts(),
        context: CONTEXT,
        vocabulary: VOCABULARY,
        limits: Limits {
            sequences: 2,
            cells: 64,
            cells_per_sequence: 64,
            shared_cells: true,
            batch_tokens: 4,
            prompt_chunk: 4,
            outputs: 2,
        },
        suppressed: Vec::new(),
    }
}

/// A backend on the mocks with two chains, of which the second has a grammar.
pub(crate) fn backend_of(config: LlamaConfig) -> LlamaBackend {
    let mut backend = LlamaBackend::new(config).unwrap();
    assert_eq!(backend.add_chain(CHAIN, 0), 0);
    assert_eq!(backend.add_chain(CHAIN, GRAMMAR), 1);
    backend
}

/// The mocks as Python would have found them.
pub(crate) fn functions() -> BTreeMap<String, FoundFunction> {
    let addresses = [
        decode as *const () as usize,
        logits_ith as *const () as usize,
        memory as *const () as usize,
        remove as *const () as usize,
        share as *const () as usize,
        position_max as *const () as usize,
        clone as *const () as usize,
        apply as *const () as usize,
        accept as *const () as usize,
        free as *const () as usize,
        piece as *const () as usize,
        token_count as *const () as usize,
    ];
    assert_eq!(
        addresses.len(),
        REQUIRED.len(),
        "one mock for each required function, in its order"
    );
    let found = |(spec, address): (&crate::api::FunctionSpec, usize)| {
        let arguments = spec
            .arguments
            .iter()
            .map(|kind| (*kind).to_owned())
            .collect();
        let result = spec.result.to_owned();
        (
            spec.name.to_owned(),
            FoundFunction {
                address,
                arguments,
                result,
            },
        )
    };
    REQUIRED.iter().zip(addresses).map(found).collect()
}

extern "C" fn decode(_context: *mut Context, batch: LlamaBatch) -> i32 {
    let count = usize::try_from(batch.n_tokens).unwrap();
    // SAFETY: the batch under test points to arrays of `n_tokens` entries.
    let tokens = unsafe { std::slice::from_raw_parts(batch.token, count) };
    // SAFETY: as above.
    let sequences = unsafe { std::slice::from_raw_parts(batch.seq_id, count) };
    with(|mock| {
        mock.decodes += 1;
        // Codes 2 and below −1 leave a part of the batch: here its first row.
        let taken = match mock.code {
            0 => count,
            1 | -1 => 0,
            _ => 1,
        };
        for (&token, &sequence) in tokens.iter().zip(sequences).take(taken) {
            // SAFETY: each entry points to one sequence id.
            let sequence = unsafe { *sequence };
            mock.cache[usize::try_from(sequence).unwrap()].push(token);
        }
        mock.code
    })
}

extern "C" fn logits_ith(_context: *mut Context, _row: i32) -> *mut f32 {
    with(|mock| {
        if mock.logits.is_empty() {
            std::ptr::null_mut()
        } else {
            mock.logits.as_mut_ptr()
        }
    })
}

extern "C" fn memory(_context: *mut Context) -> *mut Memory {
    CONTEXT as *mut Memory
}

extern "C" fn remove(_memory: *mut Memory, sequence: i32, p0: i32, p1: i32) -> bool {
    assert_eq!(p1, -1);
    with(|mock| {
        let removed = mock.removable || p0 <= 0;
        if removed {
            mock.cache[usize::try_from(sequence).unwrap()].truncate(usize::try_from(p0).unwrap());
        }
        removed
    })
}

extern "C" fn share(_memory: *mut Memory, from: i32, to: i32, p0: i32, p1: i32) {
    let place = |number: i32| usize::try_from(number).unwrap();
    with(|mock| {
        let shared = mock.cache[place(from)][place(p0)..place(p1)].to_vec();
        mock.cache[place(to)] = shared;
    });
}

extern "C" fn position_max(_memory: *mut Memory, sequence: i32) -> i32 {
    with(|mock| mock.cache[usize::try_from(sequence).unwrap()].len() as i32 - 1)
}

extern "C" fn clone(sampler: *const Sampler) -> *mut Sampler {
    with(|mock| {
        let address = CLONES + mock.calls.len() * 16 + mock.clones.len();
        mock.clones.insert(address, sampler as usize);
        address as *mut Sampler
    })
}

extern "C" fn apply(sampler: *mut Sampler, candidates: *mut TokenDataArray) {
    let original = name(sampler);
    with(|mock| mock.calls.push(format!("apply {original}")));
    // SAFETY: the array under test is alive during the call.
    let candidates = unsafe { &mut *candidates };
    // SAFETY: its data has `size` entries.
    let data = unsafe { std::slice::from_raw_parts_mut(candidates.data, candidates.size) };
    if original == "grammar" {
        let allowed = with(|mock| mock.allowed.clone());
        for entry in data.iter_mut().filter(|entry| !allowed.contains(&entry.id)) {
            entry.logit = f32::NEG_INFINITY;
        }
    } else {
        // The chain keeps the three likeliest, as top-k would.
        data.sort_by(|left, right| right.logit.total_cmp(&left.logit));
        candidates.size = candidates.size.min(3);
        with(|mock| {
            if let Some(elsewhere) = &mut mock.elsewhere {
                *elsewhere = data[..candidates.size].to_vec();
                candidates.data = elsewhere.as_mut_ptr();
                data.fill(TokenData {
                    id: -1,
                    logit: 0.0,
                    p: 0.0,
                });
            }
        });
    }
}

extern "C" fn accept(sampler: *mut Sampler, token: Token) {
    let call = format!("accept {} {token}", name(sampler));
    with(|mock| mock.calls.push(call));
}

extern "C" fn free(sampler: *mut Sampler) {
    let call = format!("free {}", name(sampler));
    with(|mock| {
        mock.calls.push(call);
        mock.clones.remove(&(sampler as usize));
    });
}

extern "C" fn piece(
    _vocab: *const Vocab,
    token: Token,
    buffer: *mut c_char,
    length: i32,
    _lstrip: i32,
    special: bool,
) -> i32 {
    assert!(!special, "control tokens have no text");
    with(|mock| {
        if let Some(answer) = mock.piece_answer {
            return answer;
        }
        let piece = &mock.pieces[usize::try_from(token).unwrap()];
        if piece.len() > usize::try_from(length).unwrap() {
            return -(piece.len() as i32);
        }
        for (offset, &byte) in piece.iter().enumerate() {
            // SAFETY: the buffer has `length` bytes, more than the piece.
            let place = unsafe { buffer.add(offset) };
            // SAFETY: as above.
            unsafe { place.write(byte as c_char) };
        }
        piece.len() as i32
    })
}

extern "C" fn token_count(_vocab: *const Vocab) -> i32 {
    with(|mock| mock.pieces.len() as i32)
}

/// What a clone stands for. Only live clones may be used.
fn name(sampler: *mut Sampler) -> &'static str {
    let original = with(|mock| mock.clones.get(&(sampler as usize)).copied());
    match original {
        Some(CHAIN) => "chain",
        Some(GRAMMAR) => "grammar",
        other => panic!("a sampler that is not a live clone: {other:?}"),
    }
}
