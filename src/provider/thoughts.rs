//! The reasoning that servers without a parser for it leave in the text of an answer.

use std::borrow::Cow;

/// The tags around reasoning at the start of an answer: those of most open models, of Mistral's, of
/// Moonshot's and of ByteDance's.
const TAGS: [(&str, &str); 4] = [
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<seed:think>", "</seed:think>"),
];

/// Separates reasoning from the answer, however the text is cut.
#[derive(Debug)]
pub struct Thoughts {
    place: Place,
    /// Text that may be the start of a tag.
    held: String,
    /// Whether a block of reasoning has ended. White space after it does not belong to the answer.
    has_thought: bool,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// Before the answer's first word.
    Start,
    /// Inside a block that ends with this tag.
    Inside(&'static str),
    Answer,
}

impl Default for Thoughts {
    fn default() -> Self {
        Self { place: Place::Start, held: String::new(), has_thought: false }
    }
}

impl Thoughts {
    /// The part of the next piece that belongs to the answer, as far as that is known.
    pub fn remove<'a>(&mut self, piece: Cow<'a, str>) -> Cow<'a, str> {
        if matches!(self.place, Place::Answer) {
            return piece;
        }
        self.held.push_str(&piece);
        loop {
            match self.place {
                Place::Answer => return std::mem::take(&mut self.held).into(),
                Place::Inside(end) => match self.held.find(end) {
                    Some(at) => {
                        self.held.drain(..at + end.len());
                        self.has_thought = true;
                        self.place = Place::Start;
                    }
                    None => {
                        let kept = self.held.len().saturating_sub(end.len());
                        self.held.drain(..self.held.floor_char_boundary(kept));
                        return Cow::Borrowed("");
                    }
                },
                Place::Start => {
                    let text = self.held.trim_start();
                    let starts = |(start, end): (&str, &'static str)| {
                        Some((text.strip_prefix(start)?.len(), end))
                    };
                    if let Some((rest, end)) = TAGS.into_iter().find_map(starts) {
                        self.held.drain(..self.held.len() - rest);
                        self.place = Place::Inside(end);
                    } else if TAGS.iter().any(|(start, _)| start.starts_with(text)) {
                        return Cow::Borrowed("");
                    } else {
                        self.drop_space();
                        self.place = Place::Answer;
                    }
                }
            }
        }
    }

    /// The rest of the answer at its end. Reasoning without an end is left out.
    pub fn end(&mut self) -> String {
        self.drop_space();
        match std::mem::replace(&mut self.place, Place::Answer) {
            Place::Inside(_) => String::new(),
            Place::Start | Place::Answer => std::mem::take(&mut self.held),
        }
    }

    fn drop_space(&mut self) {
        if self.has_thought {
            let space = self.held.len() - self.held.trim_start().len();
            self.held.drain(..space);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_at_the_start_is_left_out_however_it_is_cut() {
        for (text, expected) in [
            ("<think>\nThe sum.\n</think>\n\nIt is 4.", "It is 4."),
            ("\n <think></think>4", "4"),
            ("[THINK]a <think> b[/THINK] 4", "4"),
            ("◁think▷ü◁/think▷4", "4"),
            ("<seed:think>a</think></seed:think>4", "4"),
            ("<think>a</think>\n<think>b</think>\n4", "4"),
            ("<think>a </thin</think>4 <think>5</think>", "4 <think>5</think>"),
            ("<think>never closed", ""),
            ("<thinking>4", "<thinking>4"),
            ("  indented", "  indented"),
            ("The tag <think>x</think>", "The tag <think>x</think>"),
            ("<thi", "<thi"),
            (" ", " "),
            ("<think>a</think> ", ""),
        ] {
            for size in [1, 2, 5, 100] {
                let mut thoughts = Thoughts::default();
                let chars: Vec<char> = text.chars().collect();
                let pieces = chars.chunks(size).map(|piece| piece.iter().collect::<String>());
                let mut found: String =
                    pieces.map(|piece| thoughts.remove(piece.into()).into_owned()).collect();
                found.push_str(&thoughts.end());
                assert_eq!(found, expected, "{text:?} in pieces of {size}");
            }
        }
    }
}
