//! The C structs that cross the boundary, and the check that the loaded library has the same.

use std::collections::BTreeMap;
use std::fmt;
use std::mem::{offset_of, size_of};

use longwriter_scheduler::backend::Token;

use crate::api::LibraryMismatch;

/// `llama_batch`, passed by value to `llama_decode`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct LlamaBatch {
    pub(crate) n_tokens: i32,
    pub(crate) token: *mut Token,
    pub(crate) embd: *mut f32,
    pub(crate) pos: *mut i32,
    pub(crate) n_seq_id: *mut i32,
    pub(crate) seq_id: *mut *mut i32,
    pub(crate) logits: *mut i8,
}

/// `llama_token_data`: one candidate.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenData {
    pub(crate) id: Token,
    pub(crate) logit: f32,
    pub(crate) p: f32,
}

/// `llama_token_data_array`: the candidates of one sampling step.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct TokenDataArray {
    pub(crate) data: *mut TokenData,
    pub(crate) size: usize,
    pub(crate) selected: i64,
    pub(crate) sorted: bool,
}

/// Layout of a struct as ctypes declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructLayout {
    /// Bytes in all.
    pub size: usize,
    /// Name, offset and size of each field, in order.
    pub fields: Vec<(String, usize, usize)>,
}

impl fmt::Display for StructLayout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes", self.size)?;
        for (name, offset, size) in &self.fields {
            write!(formatter, ", {name} at {offset} ({size})")?;
        }
        Ok(())
    }
}

macro_rules! layout {
    ($type:ty { $($field:ident: $kind:ty),* $(,)? }) => {
        StructLayout {
            size: size_of::<$type>(),
            fields: vec![$((
                stringify!($field).to_owned(),
                offset_of!($type, $field),
                size_of::<$kind>(),
            )),*],
        }
    };
}

/// The layouts that this crate was built for, by the struct's name.
#[must_use]
pub fn expected_layouts() -> BTreeMap<String, StructLayout> {
    let layouts = [
        (
            "llama_batch",
            layout!(LlamaBatch {
                n_tokens: i32,
                token: *mut Token,
                embd: *mut f32,
                pos: *mut i32,
                n_seq_id: *mut i32,
                seq_id: *mut *mut i32,
                logits: *mut i8,
            }),
        ),
        (
            "llama_token_data",
            layout!(TokenData {
                id: Token,
                logit: f32,
                p: f32
            }),
        ),
        (
            "llama_token_data_array",
            layout!(TokenDataArray {
                data: *mut TokenData,
                size: usize,
                selected: i64,
                sorted: bool,
            }),
        ),
    ];
    layouts
        .into_iter()
        .map(|(name, layout)| (name.to_owned(), layout))
        .collect()
}

/// Compares the layouts that ctypes found with the expected ones.
pub(crate) fn check_layouts(found: &BTreeMap<String, StructLayout>) -> Result<(), LibraryMismatch> {
    for (name, expected) in expected_layouts() {
        let found = found
            .get(&name)
            .ok_or_else(|| LibraryMismatch::MissingLayout(name.clone()))?;
        if *found != expected {
            return Err(LibraryMismatch::OtherLayout {
                name,
                expected: expected.to_string(),
                found: found.to_string(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_layouts_pass() {
        assert!(check_layouts(&expected_layouts()).is_ok());
    }

    #[test]
    fn a_moved_field_is_named() {
        let mut found = expected_layouts();
        found.get_mut("llama_batch").unwrap().fields[3].1 = 32;
        let error = check_layouts(&found).unwrap_err().to_string();
        assert!(
            error.contains("llama_batch") && error.contains("pos at 32 (8)"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_struct_is_named() {
        let mut found = expected_layouts();
        found.remove("llama_token_data");
        assert!(
            check_layouts(&found)
                .unwrap_err()
                .to_string()
                .contains("llama_token_data")
        );
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn the_sizes_are_those_measured_with_llama_cpp() {
        let layouts = expected_layouts();
        assert_eq!(layouts["llama_batch"].size, 56);
        assert_eq!(layouts["llama_token_data"].size, 12);
        assert_eq!(layouts["llama_token_data_array"].size, 32);
    }
}
