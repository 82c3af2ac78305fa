//! Keeps the last lines of llama.cpp's log without the GIL.
//!
//! llama-cpp-python installs a Python callback, which would take the GIL for each line; this one takes its
//! place. Python asks for the lines when something went wrong.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lines that are kept; older ones are dropped.
const LINES: usize = 200;
/// Bytes of one line that are kept.
const LINE_BYTES: usize = 4096;
/// `GGML_LOG_LEVEL_CONT` in ggml.h: the text goes on with the line before.
const CONTINUED: i32 = 5;

static KEPT: Mutex<VecDeque<(i32, String)>> = Mutex::new(VecDeque::new());

/// Address of a `ggml_log_callback` for `llama_log_set`.
#[must_use]
pub fn callback_address() -> usize {
    keep_line as extern "C" fn(i32, *const c_char, *mut c_void) as usize
}

/// The lines kept since the last call, oldest first, with their `ggml_log_level`.
#[must_use]
pub fn take() -> Vec<(i32, String)> {
    lines()
        .drain(..)
        .map(|(level, line)| (level, line.trim_end().to_owned()))
        .collect()
}

extern "C" fn keep_line(level: i32, text: *const c_char, _user_data: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: llama.cpp passes a NUL-terminated string that lives for the call, and null was excluded.
    let text = unsafe { CStr::from_ptr(text) };
    let bytes = text.to_bytes();
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LINE_BYTES)]);
    let mut lines = lines();
    match lines.back_mut() {
        Some((_, line)) if level == CONTINUED => {
            if line.len() < LINE_BYTES {
                line.push_str(&text);
            }
        }
        _ => {
            if lines.len() == LINES {
                lines.pop_front();
            }
            lines.push_back((level, text.into_owned()));
        }
    }
}

fn lines() -> MutexGuard<'static, VecDeque<(i32, String)>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;

    fn log(level: i32, text: &str) {
        let text = CString::new(text).unwrap();
        keep_line(level, text.as_ptr(), std::ptr::null_mut());
    }

    /// One test, since the lines are the process's.
    #[test]
    fn lines_are_joined_bounded_and_taken_once() {
        log(4, "tensor 'x' ");
        log(CONTINUED, "is missing\n");
        log(2, "done\n");
        keep_line(4, std::ptr::null(), std::ptr::null_mut());
        let expected = [
            (4, "tensor 'x' is missing".to_owned()),
            (2, "done".to_owned()),
        ];
        assert_eq!(take(), expected);
        assert!(take().is_empty());
        for number in 0..LINES + 5 {
            log(2, &number.to_string());
        }
        log(CONTINUED, &"x".repeat(3 * LINE_BYTES));
        log(CONTINUED, &"x".repeat(3 * LINE_BYTES));
        let kept = take();
        assert_eq!(kept.len(), LINES);
        assert_eq!(kept[0].1, "5");
        assert!(kept[LINES - 1].1.len() < 3 * LINE_BYTES);
    }
}
