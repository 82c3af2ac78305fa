//! A deterministic backend with fault injection, for tests of everything above it.
//!
//! It speaks bytes: token 0 to 255 is that byte, [`END`], [`USER`] and [`ASSISTANT`] are control
//! tokens. What it answers depends on the tokens in its KV cache and on nothing else, so a wrong
//! position, a lost token or a shared sequence changes the text.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::backend::{
    Backend, Candidate, Constraint, DecodeError, Limits, Row, SampleError, SequenceId, Token,
    Vocabulary,
};

/// Ends the assistant's turn.
pub const END: Token = 256;
/// Opens the user's turn.
pub const USER: Token = 257;
/// Opens the assistant's turn.
pub const ASSISTANT: Token = 258;

const BYTES: [u8; 256] = {
    let mut bytes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        bytes[byte] = byte as u8;
        byte += 1;
    }
    bytes
};

/// Something that goes wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedFault {
    /// `decode` finds no room.
    NoRoom,
    /// `decode` is aborted.
    Aborted,
    /// `decode` refuses the batch.
    InvalidBatch,
    /// `decode` fails for good.
    Failed,
    /// The logits of every row are NaN.
    Nan,
    /// The backend panics.
    Panic,
}

impl InjectedFault {
    /// The fault of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "no_room" => Self::NoRoom,
            "aborted" => Self::Aborted,
            "invalid_batch" => Self::InvalidBatch,
            "failed" => Self::Failed,
            "nan" => Self::Nan,
            "panic" => Self::Panic,
            _ => return None,
        })
    }
}

/// What the fake says and where it fails.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Pairs of a needle and an answer. A turn is answered by the pair whose needle stands last in
    /// the user's text; where none does, by made-up prose.
    pub answers: Vec<(String, String)>,
    /// Faults by the number of the `decode` call, from 0.
    pub faults: Vec<(usize, InjectedFault)>,
    /// How long each evaluation takes.
    pub step_time: Duration,
}

/// The fake backend.
#[derive(Debug)]
pub struct FakeBackend {
    limits: Limits,
    script: Script,
    cache: Vec<Vec<Token>>,
    /// The cell of each cached token; sequences may hold cells in common.
    cells: Vec<Vec<u64>>,
    newest_cell: u64,
    /// Sequence and cached length of each row of the last batch; `None` for rows without output.
    rows: Vec<Option<(SequenceId, usize)>>,
    decodes: usize,
    candidates: Vec<Candidate>,
    nan: bool,
    recurrent: bool,
    chains: usize,
}

impl FakeBackend {
    /// A backend with these limits that follows `script`.
    #[must_use]
    pub fn new(limits: Limits, script: Script) -> Self {
        Self {
            limits,
            script,
            cache: vec![Vec::new(); limits.sequences as usize],
            cells: vec![Vec::new(); limits.sequences as usize],
            newest_cell: 0,
            rows: Vec::new(),
            decodes: 0,
            candidates: Vec::new(),
            nan: false,
            recurrent: false,
            chains: 0,
        }
    }

    /// Makes it refuse to drop a part of a sequence, as recurrent models do.
    #[must_use]
    pub fn recurrent(mut self) -> Self {
        self.recurrent = true;
        self
    }

    /// The tokens of a sequence in the KV cache.
    #[must_use]
    pub fn cached(&self, sequence: SequenceId) -> &[Token] {
        &self.cache[sequence as usize]
    }

    /// How often `decode` was called.
    #[must_use]
    pub fn decodes(&self) -> usize {
        self.decodes
    }

    fn check(&self, rows: &[Row]) -> Result<(), String> {
        if rows.is_empty() || rows.len() > self.limits.batch_tokens as usize {
            return Err(format!(
                "{} rows of {}",
                rows.len(),
                self.limits.batch_tokens
            ));
        }
        let outputs = rows.iter().filter(|row| row.output).count();
        if outputs > self.limits.outputs as usize {
            return Err(format!("{outputs} outputs of {}", self.limits.outputs));
        }
        let mut lengths: Vec<_> = self.cache.iter().map(Vec::len).collect();
        for row in rows {
            let Some(length) = lengths.get_mut(row.sequence as usize) else {
                return Err(format!("there is no sequence {}", row.sequence));
            };
            if row.position as usize != *length {
                return Err(format!(
                    "position {} of sequence {}, which has {length} tokens",
                    row.position, row.sequence
                ));
            }
            *length += 1;
        }
        Ok(())
    }

    /// Whether the cache has cells for these rows.
    fn has_room(&self, rows: &[Row]) -> bool {
        let cells = (self.limits.cells as usize).saturating_sub(rows.len());
        // Counting cells held in common takes time, so only where it makes a difference.
        let enough = self.cells.iter().map(Vec::len).sum::<usize>() <= cells
            || self.cells.iter().flatten().collect::<BTreeSet<_>>().len() <= cells;
        let within = |(sequence, cells): (usize, &Vec<u64>)| {
            let more = rows.iter().filter(|row| row.sequence as usize == sequence);
            cells.len() + more.count() <= self.limits.cells_per_sequence as usize
        };
        enough && self.cells.iter().enumerate().all(within)
    }

    /// Fills in the candidates for the token after a sequence's first `length` tokens.
    fn offer(&mut self, sequence: SequenceId, length: usize, banned: &[Token]) {
        let tokens = &self.cache[sequence as usize][..length];
        let answer_start = tokens
            .iter()
            .rposition(|&token| token == ASSISTANT)
            .map_or(0, |place| place + 1);
        let (prompt, answered) = tokens.split_at(answer_start);
        let question_start = prompt.iter().rposition(|&token| token == USER).unwrap_or(0);
        let so_far = bytes(answered);
        let scripted = self.script.answer(&bytes(&prompt[question_start..]));
        // Once led away from its answer, it makes up prose.
        let follows = |answer: &&str| {
            so_far.starts_with(answer.as_bytes()) || answer.as_bytes().starts_with(&so_far)
        };
        let scripted = scripted.filter(follows);
        let next = scripted.and_then(|answer| answer.as_bytes().get(answered.len()));
        let next = next.filter(|&&byte| !banned.contains(&Token::from(byte)));
        let mut offered = match (scripted, next) {
            (_, Some(&byte)) => vec![(Token::from(byte), 0.0)],
            // Prose follows a finished answer only where the end is banned.
            (Some(answer), None) if so_far.len() >= answer.len() => vec![(END, 30.0)],
            (_, None) if answered.len() >= PROSE_BYTES => vec![(END, 2.0)],
            (_, None) => Vec::new(),
        };
        if next.is_none() {
            offered.extend(prose(tokens, &so_far));
        }
        self.candidates = offered
            .into_iter()
            .map(|(token, logit)| Candidate {
                token,
                logit: if self.nan { f32::NAN } else { logit },
            })
            .collect();
    }
}

impl Script {
    /// The scripted answer to a question.
    fn answer(&self, question: &[u8]) -> Option<&str> {
        let question = String::from_utf8_lossy(question);
        let place = |needle: &str| question.rfind(needle);
        self.answers
            .iter()
            .filter_map(|(needle, answer)| Some((place(needle)?, answer.as_str())))
            .max_by_key(|(place, _)| *place)
            .map(|(_, answer)| answer)
    }
}

/// Made-up prose may end from here on.
const PROSE_BYTES: usize = 240;

/// A few possible next bytes of made-up prose: lower-case words, sentences, paragraphs. Which ones
/// depends on all tokens, so text after a changed history differs.
fn prose(tokens: &[Token], answered: &[u8]) -> Vec<(Token, f32)> {
    let hash = tokens
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &token| {
            (hash ^ token as u64).wrapping_mul(0x0100_0000_01b3) // FNV-1a
        });
    let word = answered
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_lowercase())
        .count();
    let sentence = answered
        .iter()
        .rev()
        .take_while(|&&byte| byte != b'.')
        .count();
    if answered.last() == Some(&b'.') {
        return vec![(Token::from(b' '), 1.0), (Token::from(b'\n'), 0.0)];
    }
    let letter = |shift: u32| Token::from(b'a' + ((hash >> shift) % 26) as u8);
    let mut offered = vec![(letter(8), 0.0), (letter(24), 0.0), (letter(40), 0.0)];
    if word >= 2 {
        offered.push((Token::from(b' '), 0.5));
    }
    if word >= 2 && sentence >= 40 {
        offered.push((Token::from(b'.'), 1.0));
    }
    offered
}

fn bytes(tokens: &[Token]) -> Vec<u8> {
    tokens
        .iter()
        .filter_map(|&token| u8::try_from(token).ok())
        .collect()
}

impl Vocabulary for FakeBackend {
    fn piece(&self, token: Token) -> &[u8] {
        match usize::try_from(token) {
            Ok(byte) if byte < BYTES.len() => &BYTES[byte..=byte],
            _ => &[],
        }
    }
}

impl Backend for FakeBackend {
    /// The tokens that the sampler has seen.
    type Sampler = Vec<Token>;

    fn limits(&self) -> Limits {
        self.limits
    }

    fn decode(&mut self, rows: &[Row]) -> Result<(), DecodeError> {
        let call = self.decodes;
        self.decodes += 1;
        std::thread::sleep(self.script.step_time);
        let fault = self
            .script
            .faults
            .iter()
            .find(|(at, _)| *at == call)
            .map(|(_, fault)| *fault);
        self.nan = fault == Some(InjectedFault::Nan);
        match fault {
            Some(InjectedFault::NoRoom) => return Err(DecodeError::NoRoom { rows: rows.len() }),
            Some(InjectedFault::Aborted) => return Err(DecodeError::Aborted),
            Some(InjectedFault::InvalidBatch) => {
                return Err(DecodeError::InvalidBatch {
                    reason: "injected".to_owned(),
                });
            }
            Some(InjectedFault::Failed) => return Err(DecodeError::Failed { code: -3 }),
            Some(InjectedFault::Panic) => panic!("injected panic"),
            Some(InjectedFault::Nan) | None => {}
        }
        self.check(rows)
            .map_err(|reason| DecodeError::InvalidBatch { reason })?;
        if !self.has_room(rows) {
            return Err(DecodeError::NoRoom { rows: rows.len() });
        }
        self.rows.clear();
        for row in rows {
            let sequence = &mut self.cache[row.sequence as usize];
            sequence.push(row.token);
            self.newest_cell += 1;
            self.cells[row.sequence as usize].push(self.newest_cell);
            self.rows
                .push(row.output.then_some((row.sequence, sequence.len())));
        }
        Ok(())
    }

    fn truncate(&mut self, sequence: SequenceId, position: u32) -> Result<(), DecodeError> {
        if self.recurrent && position > 0 {
            let reason = "a recurrent state cannot be cut".to_owned();
            return Err(DecodeError::InvalidBatch { reason });
        }
        self.cache[sequence as usize].truncate(position as usize);
        self.cells[sequence as usize].truncate(position as usize);
        Ok(())
    }

    fn share(&mut self, from: SequenceId, to: SequenceId, length: u32) -> Result<(), DecodeError> {
        let (from, to, length) = (from as usize, to as usize, length as usize);
        let usable = self.cache[to].is_empty() && length <= self.cache[from].len();
        if !self.limits.shared_cells || !usable {
            let reason = format!("{length} tokens of {from} cannot be shared with {to}");
            return Err(DecodeError::InvalidBatch { reason });
        }
        self.cache[to] = self.cache[from][..length].to_vec();
        self.cells[to] = self.cells[from][..length].to_vec();
        Ok(())
    }

    fn add_chain(&mut self, _chain: usize, _grammar: usize) -> usize {
        self.chains += 1;
        self.chains - 1
    }

    fn open_sampler(&mut self, _chain: usize, history: &[Token]) -> Vec<Token> {
        history.to_vec()
    }

    fn candidates(
        &mut self,
        row: usize,
        _sampler: &mut Vec<Token>,
        banned: &[Token],
        _constraint: Constraint,
    ) -> Result<&[Candidate], SampleError> {
        let Some(&Some((sequence, length))) = self.rows.get(row) else {
            return Err(SampleError::NoLogits { row });
        };
        self.offer(sequence, length, banned);
        self.candidates
            .retain(|candidate| !banned.contains(&candidate.token));
        Ok(&self.candidates)
    }

    fn admits(&mut self, _sampler: &mut Vec<Token>, _token: Token) -> bool {
        true
    }

    fn accept(&mut self, sampler: &mut Vec<Token>, token: Token) {
        sampler.push(token);
    }
}
