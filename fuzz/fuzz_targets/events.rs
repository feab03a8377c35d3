//! A stream of events, and where it is cut.
#![no_main]

use crew::properties::answer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: ([u8; 4], &[u8])| {
    let (cuts, bytes) = input;
    answer::events(bytes, &cuts.map(usize::from));
});
