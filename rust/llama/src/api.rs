//! The llama.cpp functions that are called, by the addresses that Python took from the loaded library.

use std::collections::BTreeMap;
use std::ffi::c_char;
use std::mem::transmute;

use longwriter_scheduler::backend::Token;
use thiserror::Error;

use crate::abi::{LlamaBatch, TokenDataArray};

/// A `llama_context`.
pub(crate) enum Context {}
/// A `llama_vocab`.
pub(crate) enum Vocab {}
/// A `llama_sampler`.
pub(crate) enum Sampler {}
/// A `llama_memory_t` points to this.
pub(crate) enum Memory {}

/// What the loaded library has that this crate was not built for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LibraryMismatch {
    /// A function is not there.
    #[error("llama.cpp has no function {0}")]
    MissingFunction(String),
    /// A function takes or returns something else.
    #[error("llama.cpp's {name} is {found}, expected {expected}")]
    OtherSignature {
        /// The function.
        name: String,
        /// The signature that this crate calls.
        expected: String,
        /// The signature that llama-cpp-python declares.
        found: String,
    },
    /// A struct was not described.
    #[error("llama-cpp-python does not declare {0}")]
    MissingLayout(String),
    /// A struct has another layout.
    #[error("llama.cpp's {name} is laid out as {found}, expected {expected}")]
    OtherLayout {
        /// The struct.
        name: String,
        /// The layout that this crate has.
        expected: String,
        /// The layout that llama-cpp-python declares.
        found: String,
    },
    /// An address is null or a number makes no sense.
    #[error("{0}")]
    Unusable(String),
}

/// Name and signature of a function; kinds are `pointer`, `i32`, `bool`, `void` and `struct NAME`.
#[derive(Debug, Clone, Copy)]
pub struct FunctionSpec {
    /// The C name.
    pub name: &'static str,
    /// Kind of each argument.
    pub arguments: &'static [&'static str],
    /// Kind of the result.
    pub result: &'static str,
}

/// A function as Python found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFunction {
    /// Its address in this process.
    pub address: usize,
    /// Kind of each argument, from ctypes' `argtypes`.
    pub arguments: Vec<String>,
    /// Kind of the result, from ctypes' `restype`.
    pub result: String,
}

macro_rules! functions {
    ($($(#[doc = $doc:literal])* $name:ident ($($argument:ident: $kind:ty = $text:literal),*) -> $result:ty = $result_text:literal;)*) => {
        /// The functions that are called.
        pub const REQUIRED: &[FunctionSpec] = &[$(FunctionSpec {
            name: stringify!($name),
            arguments: &[$($text),*],
            result: $result_text,
        }),*];

        /// The functions, checked against [`REQUIRED`].
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct Api {
            $($(#[doc = $doc])* pub(crate) $name: unsafe extern "C" fn($($argument: $kind),*) -> $result,)*
        }

        impl Api {
            /// Takes the addresses of all required functions, after comparing their signatures.
            pub(crate) fn new(
                found: &BTreeMap<String, FoundFunction>,
            ) -> Result<Self, LibraryMismatch> {
                for spec in REQUIRED {
                    check(spec, found.get(spec.name))?;
                }
                Ok(Self {
                    $($name: {
                        let address = found[stringify!($name)].address as *const ();
                        // SAFETY: the address is not null and belongs to a C function of this name in the
                        // loaded library (Python took it from there); its declared signature was just compared
                        // with the one of this type.
                        unsafe { transmute::<*const (), unsafe extern "C" fn($($kind),*) -> $result>(address) }
                    },)*
                })
            }
        }
    };
}

functions! {
    /// Evaluates a batch.
    llama_decode(context: *mut Context = "pointer", batch: LlamaBatch = "struct llama_batch") -> i32 = "i32";
    /// Logits after one token of the last batch; null if there are none.
    llama_get_logits_ith(context: *mut Context = "pointer", row: i32 = "i32") -> *mut f32 = "pointer";
    /// The KV cache of a context.
    llama_get_memory(context: *mut Context = "pointer") -> *mut Memory = "pointer";
    /// Removes positions from p0 to p1 of a sequence; negative for no bound.
    llama_memory_seq_rm(memory: *mut Memory = "pointer", sequence: i32 = "i32", p0: i32 = "i32", p1: i32 = "i32") -> bool = "bool";
    /// Gives positions p0 to p1 of a sequence to another one as well; negative for no bound.
    llama_memory_seq_cp(memory: *mut Memory = "pointer", from: i32 = "i32", to: i32 = "i32", p0: i32 = "i32", p1: i32 = "i32") -> () = "void";
    /// The last position of a sequence, −1 if it is empty.
    llama_memory_seq_pos_max(memory: *mut Memory = "pointer", sequence: i32 = "i32") -> i32 = "i32";
    /// Copies a sampler with its state.
    llama_sampler_clone(sampler: *const Sampler = "pointer") -> *mut Sampler = "pointer";
    /// Filters and reorders candidates.
    llama_sampler_apply(sampler: *mut Sampler = "pointer", candidates: *mut TokenDataArray = "pointer") -> () = "void";
    /// Tells a sampler which token was chosen.
    llama_sampler_accept(sampler: *mut Sampler = "pointer", token: Token = "i32") -> () = "void";
    /// Frees a sampler.
    llama_sampler_free(sampler: *mut Sampler = "pointer") -> () = "void";
    /// Writes the bytes of a token; negative for the room that was missing.
    llama_token_to_piece(vocab: *const Vocab = "pointer", token: Token = "i32", buffer: *mut c_char = "pointer", length: i32 = "i32", lstrip: i32 = "i32", special: bool = "bool") -> i32 = "i32";
    /// Number of tokens of a vocabulary.
    llama_vocab_n_tokens(vocab: *const Vocab = "pointer") -> i32 = "i32";
}

fn check(spec: &FunctionSpec, found: Option<&FoundFunction>) -> Result<(), LibraryMismatch> {
    let Some(found) = found.filter(|found| found.address != 0) else {
        return Err(LibraryMismatch::MissingFunction(spec.name.to_owned()));
    };
    if found.arguments != spec.arguments || found.result != spec.result {
        let arguments: Vec<&str> = found.arguments.iter().map(String::as_str).collect();
        return Err(LibraryMismatch::OtherSignature {
            name: spec.name.to_owned(),
            expected: signature(spec.arguments, spec.result),
            found: signature(&arguments, &found.result),
        });
    }
    Ok(())
}

fn signature(arguments: &[&str], result: &str) -> String {
    format!("({}) -> {result}", arguments.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock;

    #[test]
    fn the_required_functions_pass() {
        assert!(Api::new(&mock::functions()).is_ok());
    }

    #[test]
    fn a_missing_function_is_named() {
        let mut found = mock::functions();
        found.remove("llama_decode");
        let error = Api::new(&found).unwrap_err();
        assert_eq!(
            error,
            LibraryMismatch::MissingFunction("llama_decode".to_owned())
        );
        found = mock::functions();
        found.get_mut("llama_decode").unwrap().address = 0;
        assert_eq!(Api::new(&found).unwrap_err(), error);
    }

    #[test]
    fn another_signature_is_named_with_both_forms() {
        let mut found = mock::functions();
        found
            .get_mut("llama_memory_seq_rm")
            .unwrap()
            .arguments
            .pop();
        let error = Api::new(&found).unwrap_err().to_string();
        assert!(error.contains("llama_memory_seq_rm"), "{error}");
        assert!(error.contains("(pointer, i32, i32) -> bool"), "{error}");
        assert!(
            error.contains("(pointer, i32, i32, i32) -> bool"),
            "{error}"
        );
    }
}
