//! The lines of a file, one at a time and of bounded length.

use std::io::{self, BufRead};

use memchr::memchr;

/// How a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By a line feed.
    Whole,
    /// By the end of the file.
    Torn,
    /// It is longer than the limit; the rest of it was skipped.
    TooLong,
    /// There is no further line.
    NoLine,
}

/// Reads the next line into `line`, without its line feed. Returns how it ended, and the bytes that
/// it takes in the file.
///
/// # Errors
/// Those of the file.
pub fn next_line(
    file: &mut impl BufRead,
    line: &mut Vec<u8>,
    max: usize,
) -> io::Result<(Ending, u64)> {
    line.clear();
    let (mut taken, mut is_too_long) = (0, false);
    loop {
        let available = match file.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            available => available?,
        };
        let end = memchr(b'\n', available);
        let piece = &available[..end.unwrap_or(available.len())];
        is_too_long |= line.len() + piece.len() > max;
        if is_too_long {
            line.clear();
        } else {
            line.extend_from_slice(piece);
        }
        let (used, is_end) = (piece.len() + usize::from(end.is_some()), available.is_empty());
        file.consume(used);
        taken += used as u64;
        let ending = match (end, is_end) {
            (None, false) => continue,
            (None, true) if taken == 0 => Ending::NoLine,
            _ if is_too_long => Ending::TooLong,
            (Some(_), _) => Ending::Whole,
            (None, true) => Ending::Torn,
        };
        return Ok((ending, taken));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_skipped_and_the_next_one_is_read() {
        let text = format!("ab\n\n{}\r\nc", "x".repeat(100));
        let mut file = io::BufReader::with_capacity(7, text.as_bytes());
        let mut line = Vec::new();
        for (expected, ending, taken) in [
            ("ab", Ending::Whole, 3),
            ("", Ending::Whole, 1),
            ("", Ending::TooLong, 102),
            ("c", Ending::Torn, 1),
            ("", Ending::NoLine, 0),
        ] {
            assert_eq!(next_line(&mut file, &mut line, 10).unwrap(), (ending, taken));
            assert_eq!(line, expected.as_bytes());
        }
    }
}
