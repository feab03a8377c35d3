//! Files that go to a model with its prompt: images and PDF as they are, other files as text.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::chat::{Attachment, MediaType};

/// Bytes of one file.
const MAX_ATTACHMENT: u64 = 20 << 20;

/// A file that was read.
#[derive(Debug, Clone)]
pub enum Attached {
    /// Becomes a part of the prompt.
    Text {
        name: String,
        text: Arc<str>,
    },
    File(Attachment),
}

/// Why a file cannot be attached. The message follows the file's path.
#[derive(Debug, thiserror::Error)]
pub enum AttachmentError {
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    #[error("not a regular file")]
    NotAFile,
    #[error("larger than {} MiB", MAX_ATTACHMENT >> 20)]
    TooLarge,
    #[error("neither PNG, JPEG, WebP, GIF, PDF nor UTF-8 text")]
    UnknownType,
}

impl Attached {
    /// Reads a file. Its content decides its type.
    pub fn read(path: &Path) -> Result<Self, AttachmentError> {
        // A pipe would be waited for.
        if !std::fs::metadata(path)?.is_file() {
            return Err(AttachmentError::NotAFile);
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_ATTACHMENT + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_ATTACHMENT {
            return Err(AttachmentError::TooLarge);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(media_type) = media_type(&bytes) {
            let data = STANDARD.encode(&bytes);
            return Ok(Self::File(Attachment::new(name, media_type, &data)));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::Text { name, text: text.into() }),
            Err(_) => Err(AttachmentError::UnknownType),
        }
    }
}

/// The type of a file with this content; `None` if models do not accept it.
pub fn media_type(bytes: &[u8]) -> Option<MediaType> {
    const STARTS: [(&[u8], MediaType); 5] = [
        (b"\x89PNG\r\n\x1a\n", MediaType::Png),
        (b"\xff\xd8\xff", MediaType::Jpeg),
        (b"GIF87a", MediaType::Gif),
        (b"GIF89a", MediaType::Gif),
        (b"%PDF-", MediaType::Pdf),
    ];
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Some(MediaType::Webp);
    }
    let found = STARTS.iter().find(|(start, _)| bytes.starts_with(start));
    found.map(|(_, media_type)| *media_type)
}

/// The prompt after the texts, each under its file name; and the other files.
pub fn with_prompt(attached: Vec<Attached>, prompt: String) -> (String, Vec<Attachment>) {
    let (mut texts, mut files) = (String::new(), Vec::new());
    for attached in attached {
        match attached {
            Attached::Text { name, text } => {
                let text = text.trim_end();
                texts.push_str(&format!("<file name={name:?}>\n{text}\n</file>\n\n"));
            }
            Attached::File(file) => files.push(file),
        }
    }
    (texts + &prompt, files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_decides_the_type() {
        for (bytes, expected) in [
            (&b"\x89PNG\r\n\x1a\n\0"[..], Some(MediaType::Png)),
            (b"\xff\xd8\xff\xe0", Some(MediaType::Jpeg)),
            (b"GIF89a\0", Some(MediaType::Gif)),
            (b"RIFF\x01\0\0\0WEBPVP8 ", Some(MediaType::Webp)),
            (b"RIFF\x01\0\0\0WAVE", None),
            (b"%PDF-1.7", Some(MediaType::Pdf)),
            (b"%PD", None),
            (b"", None),
        ] {
            assert_eq!(media_type(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn texts_stand_before_the_prompt_under_their_names() {
        let text = |name: &str, text: &str| Attached::Text { name: name.into(), text: text.into() };
        let (prompt, files) = with_prompt(vec![text("a.txt", "one\n"), text("b", "")], "go".into());
        let expected = "<file name=\"a.txt\">\none\n</file>\n\n<file name=\"b\">\n\n</file>\n\ngo";
        assert_eq!((prompt.as_str(), files.len()), (expected, 0));
    }
}
