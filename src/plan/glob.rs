//! Patterns for names: `*` matches any text and `?` any character.

/// Returns whether the whole text fits the pattern. The time is bounded by the product of their
/// lengths.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // The position of the last `*`, and the end of the text it matches.
    let mut star = None;
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|&c| c == '?' || c == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, end)) = star {
            star = Some((at, end + 1));
            p = at + 1;
            t = end + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_that_fit() {
        for (pattern, text) in [
            ("*", "anything"),
            ("*", "a/b/c"),
            ("read_file", "read_file"),
            ("*_read", "file_read"),
            ("*_read", "_read_read"),
            ("file_*", "file_"),
            ("f?le*r*d", "file.read"),
            ("**", ""),
            ("a**b", "ab"),
            ("openai/gpt-4o", "openai/gpt-4o"),
            ("openai/gpt-4o*", "openai/gpt-4o-mini"),
            ("*/llama*:8b", "ollama/llama3.1:8b"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn patterns_that_do_not_fit() {
        for (pattern, text) in [
            ("*_read", "file_reads"),
            ("read", "Read"),
            ("?", ""),
            ("a*b", "a"),
            ("a*a", "a"),
            ("", "a"),
            ("openai/gpt-4o", "openai/gpt-4o-mini"),
            ("*/llama*:8b", "ollama/llama3.1:70b"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
        assert!(!matches(&"*a".repeat(200), &"a".repeat(199)));
    }
}
