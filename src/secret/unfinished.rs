//! Redaction of an unfinished text: a secret may have arrived in part.

use secrecy::ExposeSecret;

use super::{REDACTED, Secrets, half_at_end, half_at_start};

impl Secrets {
    /// A part of an unfinished text without secrets, and without parts of secrets at its ends.
    /// `is_cut`: its start is missing.
    pub fn redact_part(&self, part: &str, is_cut: bool) -> String {
        let values = self.values();
        if values.is_empty() {
            return part.to_owned();
        }
        let known = || values.iter().map(ExposeSecret::expose_secret);
        if is_cut && known().any(|secret| secret.contains(part)) {
            return REDACTED.to_owned();
        }
        let half = known().filter_map(|secret| half_at_start(part, secret)).max();
        let rest = &part[half.filter(|_| is_cut).unwrap_or(0)..];
        self.without_end(&self.redact(rest.to_owned()), true)
    }

    /// How many bytes of the beginning of a text can be redacted before the rest of it is known: no
    /// secret lies across this place, however the text goes on.
    pub fn settled(&self, text: &str) -> usize {
        let values = self.values();
        let known = || values.iter().map(ExposeSecret::expose_secret);
        let open = known().filter_map(|secret| half_at_end(text, secret, 1)).max();
        let mut settled = text.len() - open.unwrap_or(0);
        // A secret that is whole may lie across the beginning of another one.
        let across = |at: usize| {
            let starts = known().filter_map(|secret| {
                let first = text.ceil_char_boundary((at + 1).saturating_sub(secret.len()));
                let last = text.floor_char_boundary((at + secret.len()).min(text.len()));
                text[first..last].find(secret).map(|start| first + start)
            });
            starts.filter(|start| *start < at).min()
        };
        while let Some(start) = across(settled) {
            settled = start;
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(values: &[&str]) -> Secrets {
        let secrets = Secrets::default();
        values.iter().for_each(|value| secrets.add(value));
        secrets
    }

    #[test]
    fn what_may_become_a_secret_is_not_settled() {
        let secrets = secrets(&["sk-0123456789", "3456789-abcdef"]);
        for (text, settled) in [
            ("", ""),
            ("the key", "the key"),
            ("the keys", "the key"),
            ("the key sk-01", "the key "),
            ("sk-0123456789", ""),
            ("sk-0123456789.", "sk-0123456789."),
            ("ä sk-0123456789-", "ä "),
            ("sk-0123456789-abcdef", "sk-0123456789-abcdef"),
        ] {
            assert_eq!(&text[..secrets.settled(text)], settled, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_secret_is_cut(pieces in proptest::collection::vec("[abä]{0,9}", 0..20)) {
            let values = ["abbaäbba", "bbabbäaaaaab", "aaaaaaaa"];
            let secrets = secrets(&values);
            let (mut text, mut cuts) = (String::new(), vec![0]);
            for piece in pieces {
                text.push_str(&piece);
                let cut = cuts[cuts.len() - 1];
                cuts.push(cut + secrets.settled(&text[cut..]));
            }
            for value in values {
                for start in (0..text.len()).filter(|at| text.as_bytes()[*at..].starts_with(value.as_bytes())) {
                    let inside = start + 1..start + value.len();
                    proptest::prop_assert!(!cuts.iter().any(|cut| inside.contains(cut)));
                }
            }
        }
    }
}
