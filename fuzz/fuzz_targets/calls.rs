//! Fragments of tool calls, and the arguments of one cut anywhere.
#![no_main]

use crew::properties::answer;
use libfuzzer_sys::fuzz_target;

type Fragment<'a> = (Option<u8>, &'a str, &'a str, &'a str);

fuzz_target!(|input: ([u8; 4], &str, Vec<Fragment<'_>>)| {
    let (cuts, arguments, fragments) = input;
    answer::arguments(arguments, &cuts.map(usize::from));
    let fragments: Vec<answer::Fragment<'_>> = fragments
        .into_iter()
        .map(|(index, id, name, arguments)| (index.map(u64::from), id, name, arguments))
        .collect();
    answer::fragments(&fragments);
});
