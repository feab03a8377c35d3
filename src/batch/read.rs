//! Reads inputs one at a time, in bounded memory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use csv::ByteRecord;
use serde_json::{Map, Value};

use super::input::Entry;
use super::lines::{Ending, next_line};
use crate::text::json;

/// Bytes of one input. More than any model reads.
pub const MAX_INPUT: usize = 16 << 20;
const BOM: &[u8] = b"\xef\xbb\xbf";
/// Bytes of a file that is read once more to count its inputs.
const MAX_COUNTED: u64 = 4 << 30;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read the inputs: {0}")]
    Io(#[from] io::Error),
    #[error("cannot tell what the inputs are: the file's name has to end in .jsonl, .csv or .txt")]
    UnknownKind,
    #[error("it is no regular file: give a pipe as standard input, with - for the inputs")]
    NotAFile,
    #[error("the header of the CSV file cannot be used: {0}")]
    Header(String),
}

/// Reads the inputs of a file, or of standard input.
pub struct InputReader {
    source: Source,
    index: u64,
    first_invalid: Option<u64>,
}

enum Source {
    Lines { file: Box<dyn BufRead + Send>, is_json: bool, line: Vec<u8>, number: u64 },
    Csv { file: Box<csv::Reader<Bounded>>, header: Vec<String>, record: ByteRecord },
}

impl InputReader {
    /// Opens a file by its extension; `-` is JSONL from standard input.
    ///
    /// # Errors
    /// The file cannot be opened, is of no known kind, or has no usable header.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let lines = |file, is_json| Source::Lines { file, is_json, line: Vec::new(), number: 0 };
        if path == Path::new("-") {
            let stdin = Box::new(BufReader::new(io::stdin()));
            return Ok(Self { source: lines(stdin, true), index: 0, first_invalid: None });
        }
        // Opening a pipe waits for its writer, and it can be read once only.
        let open = || match fs::metadata(path)? {
            found if found.is_dir() => Err(io::Error::from(io::ErrorKind::IsADirectory).into()),
            found if !found.is_file() => Err(ReadError::NotAFile),
            _ => Ok(File::open(path)?),
        };
        let buffered = || open().map(|file| Box::new(BufReader::with_capacity(1 << 16, file)));
        let extension = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
        let source = match extension.as_deref() {
            Some("jsonl" | "ndjson") => lines(buffered()?, true),
            Some("txt") => lines(buffered()?, false),
            Some("csv") => csv_source(open()?)?,
            _ => return Err(ReadError::UnknownKind),
        };
        Ok(Self { source, index: 0, first_invalid: None })
    }

    /// The next input. Blank lines are none.
    ///
    /// # Errors
    /// The file cannot be read any further.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let found = match &mut self.source {
            Source::Lines { file, is_json, line, number } => {
                line_entry(&mut **file, *is_json, line, number)?
            }
            Source::Csv { file, header, record } => match csv_entry(file, header, record)? {
                Some((begin, bytes, value)) => {
                    Some((first_line(&file.get_ref().file, &begin)?, bytes, value))
                }
                None => None,
            },
        };
        if let Some((line, _, Ok(_))) = found
            && self.first_invalid.is_none()
            && !self.source.is_utf8()
        {
            self.first_invalid = Some(line);
        }
        Ok(found.map(|(line, bytes, value)| {
            let index = self.index;
            self.index += 1;
            Entry { index, line, bytes, value }
        }))
    }

    /// The line of the first input so far with bytes that are not UTF-8. They were replaced.
    pub fn first_invalid(&self) -> Option<u64> {
        self.first_invalid
    }

    /// Reads the next input without its value. Whether there was one.
    fn skip_entry(&mut self) -> io::Result<bool> {
        match &mut self.source {
            Source::Csv { file, header, record } => Ok(csv_entry(file, header, record)?.is_some()),
            Source::Lines { file, line, number, .. } => loop {
                let (ending, _) = next_line(&mut &mut **file, line, MAX_INPUT)?;
                *number += 1;
                match ending {
                    Ending::NoLine => return Ok(false),
                    _ if !without_bom(line, *number).trim_ascii().is_empty() => return Ok(true),
                    Ending::TooLong => return Ok(true),
                    Ending::Whole | Ending::Torn => {}
                }
            },
        }
    }
}

impl Source {
    /// Whether the input that was read last is UTF-8.
    fn is_utf8(&self) -> bool {
        let is_utf8 = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
        match self {
            Self::Lines { line, .. } => is_utf8(line),
            Self::Csv { record, .. } => record.iter().all(is_utf8),
        }
    }
}

/// The number of inputs in a file, which takes a second for a gigabyte. `None` if it cannot be
/// counted before it is read, as standard input or a very large file, or was stopped.
pub fn count(path: &Path, is_stopped: &AtomicBool) -> Option<u64> {
    let file = fs::metadata(path).ok().filter(|file| file.is_file())?;
    if file.len() > MAX_COUNTED {
        return None;
    }
    let mut inputs = InputReader::open(path).ok()?;
    let mut count = 0;
    while inputs.skip_entry().ok()? {
        count += 1;
        if is_stopped.load(Ordering::Relaxed) {
            return None;
        }
    }
    Some(count)
}

/// Where an input begins, usually its line, its bytes and its value.
type Found<Begin = u64> = (Begin, u64, Result<Value, String>);

fn line_entry(
    mut file: &mut (dyn BufRead + Send),
    is_json: bool,
    line: &mut Vec<u8>,
    number: &mut u64,
) -> io::Result<Option<Found>> {
    let mut bytes = 0;
    loop {
        let (ending, taken) = next_line(&mut file, line, MAX_INPUT)?;
        bytes += taken;
        *number += 1;
        let text = without_bom(line, *number);
        match ending {
            Ending::NoLine => return Ok(None),
            Ending::TooLong => return Ok(Some((*number, bytes, Err(too_long())))),
            Ending::Whole | Ending::Torn if text.trim_ascii().is_empty() => {}
            Ending::Whole | Ending::Torn if is_json => {
                let value = json::value(text).map_err(|error| error.to_string());
                return Ok(Some((*number, bytes, value)));
            }
            Ending::Whole | Ending::Torn => {
                let text = text.strip_suffix(b"\r").unwrap_or(text);
                let text = String::from_utf8_lossy(text).into_owned();
                return Ok(Some((*number, bytes, Ok(Value::String(text)))));
            }
        }
    }
}

fn without_bom(line: &[u8], number: u64) -> &[u8] {
    line.strip_prefix(BOM).filter(|_| number == 1).unwrap_or(line)
}

fn too_long() -> String {
    format!("it is larger than {} MiB", MAX_INPUT >> 20)
}

fn csv_source(file: File) -> Result<Source, ReadError> {
    let mut file = csv::ReaderBuilder::new()
        .has_headers(false)
        // A record of another length is one failed input, not the end of the file.
        .flexible(true)
        .from_reader(Bounded { file, left: MAX_INPUT });
    let mut record = ByteRecord::new();
    let header = |error: csv::Error| ReadError::Header(error.to_string());
    if !file.read_byte_record(&mut record).map_err(header)? {
        return Err(ReadError::Header("the file is empty".to_owned()));
    }
    let names = record.iter().enumerate().map(|(at, name)| {
        let name = name.strip_prefix(BOM).filter(|_| at == 0).unwrap_or(name);
        String::from_utf8_lossy(name).trim().to_owned()
    });
    let header: Vec<String> = names.collect();
    for (at, name) in header.iter().enumerate() {
        if name.is_empty() {
            return Err(ReadError::Header(format!("column {} has no name", at + 1)));
        }
        if header[..at].contains(name) {
            return Err(ReadError::Header(format!("two columns are named {name:?}")));
        }
    }
    Ok(Source::Csv { file: Box::new(file), header, record })
}

fn csv_entry(
    file: &mut csv::Reader<Bounded>,
    header: &[String],
    record: &mut ByteRecord,
) -> io::Result<Option<Found<csv::Position>>> {
    file.get_mut().left = MAX_INPUT;
    let begin = file.position().clone();
    let read = file.read_byte_record(record);
    let bytes = file.position().byte() - begin.byte();
    let value = match read {
        Ok(false) => return Ok(None),
        Ok(true) => object(header, record),
        Err(error) => match error.into_kind() {
            csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                Err(format!("{}; a quote may be open", too_long()))
            }
            csv::ErrorKind::Io(error) => return Err(error),
            kind => Err(format!("{kind:?}")),
        },
    };
    Ok(Some((begin, bytes, value)))
}

/// The line of a record. What ends the one before belongs to it for the reader: the line feed after
/// a carriage return, and blank lines.
fn first_line(file: &File, begin: &csv::Position) -> io::Result<u64> {
    let (mut at, mut line, mut buffer) = (begin.byte(), begin.line(), [0; 256]);
    loop {
        let read = file.read_at(&mut buffer, at)?;
        for byte in &buffer[..read] {
            match byte {
                b'\n' => line += 1,
                b'\r' => {}
                _ => return Ok(line),
            }
        }
        if read == 0 {
            return Ok(line);
        }
        at += read as u64;
    }
}

fn object(header: &[String], record: &ByteRecord) -> Result<Value, String> {
    if record.len() != header.len() {
        let (found, expected) = (record.len(), header.len());
        return Err(format!("it has {found} fields, and the header has {expected}"));
    }
    let fields = header.iter().zip(record).map(|(name, value)| {
        (name.clone(), Value::String(String::from_utf8_lossy(value).into_owned()))
    });
    Ok(Value::Object(fields.collect::<Map<_, _>>()))
}

/// A file of which this many bytes may be read: an open quote must not take all of it into memory.
struct Bounded {
    file: File,
    left: usize,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let length = buffer.len().min(self.left);
        let read = self.file.read(&mut buffer[..length])?;
        self.left -= read;
        Ok(read)
    }
}
