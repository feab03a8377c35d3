//! The outline of a message that is too large to be parsed: the request that it answers.

use memchr::memchr2;
use rmcp::model::RequestId;

/// Bytes kept of a key or value.
const MAX_TOKEN: usize = 256;

/// Reads the members of an object piece by piece, in constant memory.
#[derive(Debug, Default)]
pub struct Outline {
    depth: usize,
    has_begun: bool,
    in_string: bool,
    escaped: bool,
    /// The current key or value of the outermost object.
    token: Vec<u8>,
    key: Vec<u8>,
    id: Option<RequestId>,
    is_request: bool,
}

impl Outline {
    pub fn push(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            // Most of a large message is inside strings.
            if self.in_string && !self.escaped {
                let skipped = memchr2(b'"', b'\\', &bytes[at..]).unwrap_or(bytes.len() - at);
                self.keep(&bytes[at..at + skipped]);
                at += skipped;
                if skipped > 0 {
                    continue;
                }
            }
            self.step(byte);
            at += 1;
        }
    }

    /// Whether the bytes so far may be a message.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// The id of the request that the message answers. `None` if it is not a response.
    pub fn answered(mut self) -> Option<RequestId> {
        self.end_member();
        self.id.filter(|_| !self.is_request)
    }

    fn step(&mut self, byte: u8) {
        if self.in_string {
            self.keep(&[byte]);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                _ => self.in_string = false,
            }
            return;
        }
        match byte {
            b'"' => {
                self.keep(b"\"");
                self.in_string = true;
            }
            b'{' | b'[' => {
                self.has_begun = true;
                self.depth += 1;
            }
            b'}' | b']' => {
                if self.depth == 1 {
                    self.end_member();
                }
                self.depth = self.depth.saturating_sub(1);
            }
            b':' if self.depth == 1 => self.key = std::mem::take(&mut self.token),
            b',' if self.depth == 1 => self.end_member(),
            _ if byte.is_ascii_whitespace() => {}
            _ => self.keep(&[byte]),
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.depth == 1 {
            let room = MAX_TOKEN - self.token.len();
            self.token.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    fn end_member(&mut self) {
        let value = std::mem::take(&mut self.token);
        match &*std::mem::take(&mut self.key) {
            b"\"id\"" => self.id = serde_json::from_slice(&value).ok(),
            b"\"method\"" => self.is_request = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answered_request_is_found() {
        let number = Some(RequestId::Number(7));
        for (message, expected) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{"id":8,"x":"\",\"id\":9"}}"#, number.clone()),
            (r#"{ "result" : [ {"method": 1} ], "id" : 7 }"#, number.clone()),
            (r#"{"id":7,"result":"cut"#, number),
            (r#"{"id":"a\"b","result":1}"#, Some(RequestId::String("a\"b".into()))),
            (r#"{"id":7,"method":"ping"}"#, None),
            (r#"{"method":"log","params":{"id":7}}"#, None),
            (r#"{"id":null,"error":{}}"#, None),
            ("banner, \"id\": 7", None),
        ] {
            for piece in [1, 3, 1000] {
                let mut outline = Outline::default();
                message.as_bytes().chunks(piece).for_each(|bytes| outline.push(bytes));
                assert_eq!(outline.answered(), expected, "{message}, {piece} bytes at once");
            }
        }
    }
}
