//! Pieces of a text that arrive as strings of their own, and may cut a character in two.

use std::borrow::Cow;

use super::scan::{ESCAPE_LENGTH, unit};

/// A piece of a text. It may begin or end with half of a surrogate pair.
#[derive(Debug, Clone, Default)]
pub struct Piece<'a> {
    start: Option<u16>,
    text: Cow<'a, str>,
    end: Option<u16>,
}

impl<'a> Piece<'a> {
    /// Decodes a JSON string, quotes included, that was tidied with its halves kept.
    ///
    /// # Errors
    /// It is not a JSON string.
    pub fn decode(json: &'a str) -> serde_json::Result<Self> {
        #[derive(serde::Deserialize)]
        struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);
        let strict = match serde_json::from_str::<Borrowed<'_>>(json) {
            Ok(text) => return Ok(text.0.into()),
            Err(error) => error,
        };
        let inside = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let Some(mut inside) = inside else { return Err(strict) };
        let start = unit(inside, 0).filter(|unit| (0xdc00..0xe000).contains(unit));
        if start.is_some() {
            inside = &inside[ESCAPE_LENGTH..];
        }
        let last = inside.len().checked_sub(ESCAPE_LENGTH).filter(|last| {
            inside.get(..*last).is_some_and(|before| {
                before.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 0
            })
        });
        let end = last.and_then(|last| unit(inside, last));
        let end = end.filter(|unit| (0xd800..0xdc00).contains(unit));
        if let (Some(_), Some(last)) = (end, last) {
            inside = &inside[..last];
        }
        let text = serde_json::from_str::<String>(&format!("\"{inside}\""))?;
        Ok(Self { start, text: text.into(), end })
    }

    /// Whether there is no more than white space.
    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty() && self.start.is_none() && self.end.is_none()
    }

    /// The text, with U+FFFD for a half.
    pub fn whole(self) -> Cow<'a, str> {
        let mut joiner = Joiner::default();
        let mut text = joiner.join(self);
        if let Some(half) = joiner.finish() {
            text.to_mut().push(half);
        }
        text
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.start.is_none() && self.end.is_none()
    }
}

impl<'a> From<Cow<'a, str>> for Piece<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self { text, ..Self::default() }
    }
}

impl<'a> From<&'a str> for Piece<'a> {
    fn from(text: &'a str) -> Self {
        Cow::Borrowed(text).into()
    }
}

/// Joins the halves of characters that were cut between two pieces.
#[derive(Debug, Default)]
pub struct Joiner(Option<u16>);

impl Joiner {
    /// The text of the next piece, without a half at its end, which the piece after it completes.
    pub fn join<'a>(&mut self, piece: Piece<'a>) -> Cow<'a, str> {
        if piece.is_empty() {
            return piece.text;
        }
        let units = self.0.take().into_iter().chain(piece.start);
        let cut: String =
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        self.0 = piece.end;
        if cut.is_empty() { piece.text } else { (cut + &piece.text).into() }
    }

    /// U+FFFD for a half that no piece has completed.
    pub fn finish(&mut self) -> Option<char> {
        self.0.take().map(|_| char::REPLACEMENT_CHARACTER)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_were_cut_are_joined() {
        for (pieces, expected) in [
            (&[r#""a \ud83d""#, r#""\ude00 b""#][..], "a \u{1f600} b"),
            (&[r#""\ud83d""#, r#""""#, r#""\ude00""#], "\u{1f600}"),
            (&[r#""\ud83d""#, r#""x""#, r#""\ude00""#], "\u{fffd}x\u{fffd}"),
            (
                &[r#""\ud83d""#, r#""\ud83d""#, r#""\ude00\ud83d""#, r#""\ude01""#],
                "\u{fffd}\u{1f600}\u{1f601}",
            ),
            (&[r#""\\ud83d""#, r#""\ude00""#], "\\ud83d\u{fffd}"),
            (&[r#""\\\ud83d""#, r#""\ude00""#], "\\\u{1f600}"),
            (&[r#""end \ud83d""#], "end \u{fffd}"),
        ] {
            let mut joiner = Joiner::default();
            let mut text: String =
                pieces.iter().map(|piece| joiner.join(Piece::decode(piece).unwrap())).collect();
            text.extend(joiner.finish());
            assert_eq!(text, expected, "{pieces:?}");
        }
        assert_eq!(Piece::decode(r#""\ude00 \ud83d""#).unwrap().whole(), "\u{fffd} \u{fffd}");
        assert!(Piece::decode("\"\\q\"").is_err() && Piece::decode("7").is_err());
    }
}
