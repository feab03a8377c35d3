//! What holds for every input that others write: a file, a template, a server's answer.
//!
//! Each property is one function that panics where it does not hold. The fuzz targets in `fuzz/`
//! call it with what a fuzzer thinks up, the tests below with what proptest does. It is compiled
//! for these two only, and within the crate, so that nothing has to be opened for them.

pub mod answer;
pub mod file;
pub mod template;
pub mod units;

#[cfg(test)]
mod tests;

/// The pieces of a stream cut at these places, which may be in any order and beyond its end.
fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|&cut| cut.min(bytes.len())).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}
