//! Splits a template into text and tags, in the same way as the engine.

/// A piece of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'t> {
    pub kind: PieceKind,
    /// As written, with its delimiters.
    pub source: &'t str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    Text,
    /// `{{ … }}`
    Expression,
    /// `{% … %}`
    Statement,
    /// `{# … #}`
    Comment,
    /// A tag or comment without an end.
    Unclosed,
}

impl<'t> Piece<'t> {
    /// The code between the delimiters; nothing for other pieces.
    pub fn code(&self) -> &'t str {
        match self.kind {
            PieceKind::Expression | PieceKind::Statement => {
                self.source.get(2..self.source.len() - 2).unwrap_or_default()
            }
            PieceKind::Text | PieceKind::Comment | PieceKind::Unclosed => "",
        }
    }
}

/// The pieces of a template, in order. Tags inside a raw block count as tags.
pub fn pieces(source: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = source;
    while !rest.is_empty() {
        let (kind, length) = match start(rest) {
            Some(0) => tag(rest),
            text => (PieceKind::Text, text.unwrap_or(rest.len())),
        };
        let (piece, after) = rest.split_at(length);
        pieces.push(Piece { kind, source: piece });
        rest = after;
    }
    pieces
}

/// The tags of a template outside raw blocks.
pub fn live(source: &str) -> Vec<Piece<'_>> {
    let mut is_raw = false;
    let is_live = |piece: &Piece<'_>| {
        let word = match piece.kind {
            PieceKind::Statement => piece.code().trim_matches(|c: char| !c.is_alphanumeric()),
            PieceKind::Expression => "",
            PieceKind::Text | PieceKind::Comment | PieceKind::Unclosed => return false,
        };
        match word {
            "raw" => is_raw = true,
            "endraw" => is_raw = false,
            _ => return !is_raw,
        }
        false
    };
    let mut pieces = pieces(source);
    pieces.retain(is_live);
    pieces
}

/// The position of the first tag or comment.
fn start(text: &str) -> Option<usize> {
    let mut braces = text.match_indices('{').map(|(at, _)| at);
    braces.find(|at| matches!(text.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#')))
}

/// The kind and length of the tag or comment at the beginning of the text.
fn tag(text: &str) -> (PieceKind, usize) {
    let (kind, length) = match text.as_bytes().get(1) {
        Some(b'{') => (PieceKind::Expression, code_length(text, b"}}")),
        Some(b'%') => (PieceKind::Statement, code_length(text, b"%}")),
        _ => (PieceKind::Comment, text[2..].find("#}").map(|at| at + 4)),
    };
    length.map_or((PieceKind::Unclosed, text.len()), |length| (kind, length))
}

/// The length of the tag at the beginning of the text, up to the first end outside strings and
/// brackets.
fn code_length(text: &str, end: &[u8]) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut quote, mut depth) = (2, None, 0);
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, _) if depth == 0 && bytes[at..].starts_with(end) => return Some(at + end.len()),
            (None, b'(' | b'[' | b'{') => depth += 1,
            (None, b')' | b']' | b'}') => depth -= 1,
            (None, _) => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::PieceKind::*;
    use super::*;

    #[test]
    fn a_tag_ends_outside_strings_and_brackets() {
        for (source, expected) in [
            ("", vec![]),
            ("a { b", vec![(Text, "a { b")]),
            ("a{{ b }}c", vec![(Text, "a"), (Expression, "{{ b }}"), (Text, "c")]),
            (
                "{{ '}}' }}{{ \"\\\"}}\" }}",
                vec![(Expression, "{{ '}}' }}"), (Expression, "{{ \"\\\"}}\" }}")],
            ),
            ("{{ {'a': {}} }}x", vec![(Expression, "{{ {'a': {}} }}"), (Text, "x")]),
            ("{%- if x -%}{{{x}}}", vec![(Statement, "{%- if x -%}"), (Expression, "{{{x}}}")]),
            ("{# '{{ #}{#}x#}", vec![(Comment, "{# '{{ #}"), (Comment, "{#}x#}")]),
            ("é{{ ) }}", vec![(Text, "é"), (Unclosed, "{{ ) }}")]),
            ("{{ 'é", vec![(Unclosed, "{{ 'é")]),
            ("{% x", vec![(Unclosed, "{% x")]),
        ] {
            let found: Vec<_> =
                pieces(source).iter().map(|piece| (piece.kind, piece.source)).collect();
            assert_eq!(found, expected, "{source}");
        }
        assert_eq!(pieces("{{ a }}")[0].code(), " a ");
        assert_eq!(pieces("{# a #}")[0].code(), "");
    }
}
