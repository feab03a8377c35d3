//! A crew's file.
#![no_main]

use crew::properties::file;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| file::file(bytes));
