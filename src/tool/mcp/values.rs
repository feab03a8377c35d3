//! How much a message would become once it is read: `[0,0,0,…]` takes 30 times its length.

/// Far more than any answer has, and less than 64 MiB of memory.
const MOST_VALUES: usize = 200_000;

/// Whether a JSON text holds few enough values to be read.
pub fn are_few(text: &[u8]) -> bool {
    let (mut values, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => values += 1,
            _ => {}
        }
    }
    values <= MOST_VALUES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_outside_of_texts_counts() {
        let commas = ",".repeat(MOST_VALUES + 1);
        assert!(are_few(format!(r#"{{"a":"\\\"{commas}"}}"#).as_bytes()));
        assert!(!are_few(format!(r#"{{"a":"\\"{commas}}}"#).as_bytes()));
        assert!(!are_few("[".repeat(MOST_VALUES + 1).as_bytes()));
    }
}
