//! A variable's value, and a text of the file that it is put into.
#![no_main]

use crew::properties::template;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (value, text) = input;
    template::expansion(text, value);
    template::expansion_in_template(text, value);
});
