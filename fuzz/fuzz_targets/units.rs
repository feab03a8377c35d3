//! A duration's or a size's text, and a number with every unit.
#![no_main]

use crew::properties::units;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, &str)| {
    let (number, text) = input;
    units::number(number);
    units::text(text);
});
