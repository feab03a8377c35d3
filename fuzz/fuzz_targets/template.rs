//! A template's text.
#![no_main]

use crew::properties::template;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &str| template::template(source));
