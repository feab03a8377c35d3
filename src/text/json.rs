//! How much memory a JSON text would take once it is parsed: `[0,0,0,…]` takes 30 times its length.

/// The most values that are parsed of a text from outside. More than any honest text has, and less
/// than 64 MiB of memory.
pub const MAX_JSON_VALUES: usize = 200_000;

/// Returns whether a JSON text holds at most [`MAX_JSON_VALUES`] values. Separators inside strings
/// do not count.
pub fn has_few_values(json: &[u8]) -> bool {
    let (mut values, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => values += 1,
            _ => {}
        }
    }
    values <= MAX_JSON_VALUES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_inside_strings_do_not_count() {
        let commas = ",".repeat(MAX_JSON_VALUES + 1);
        assert!(has_few_values(format!(r#"{{"a":"\\\"{commas}"}}"#).as_bytes()));
        assert!(!has_few_values(format!(r#"{{"a":"\\"{commas}}}"#).as_bytes()));
        assert!(!has_few_values("[".repeat(MAX_JSON_VALUES + 1).as_bytes()));
    }
}
