//! The file of one agent, with the answer that its model is writing at the end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use nix::fcntl::OFlag;

use crate::report::{LiveAnswer, Piece};

/// Bytes of one file.
const MAX_FILE: usize = 64 << 20;
/// Where the text of an answer starts on its first line.
const INDENT: &str = "    ";

/// A file of entries. It is opened anew for each write: there may be more agents than files that a
/// process can have open.
pub struct AgentFile {
    path: PathBuf,
    /// Bytes of the entries so far.
    size: usize,
    open: Option<OpenAnswer>,
}

/// An answer that is being written. The entry about the whole of it replaces it.
struct OpenAnswer {
    live: Arc<LiveAnswer>,
    /// Where it is in the file, once some of it is.
    place: Option<Place>,
    /// Entries of the run since it began.
    held: String,
}

/// Bytes from the start of the file.
#[derive(Clone, Copy)]
struct Place {
    start: u64,
    /// Where the next piece begins.
    next: u64,
}

impl AgentFile {
    /// Makes the file, in place of one of an earlier run.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: PathBuf) -> io::Result<Self> {
        // It may be a link, or readable for others.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path, size: 0, open: None })
    }

    /// Appends an entry of the agent. An answer that was being written has ended before it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, entry: &str) -> io::Result<()> {
        let held = self.open.take().map_or_else(String::new, |open| open.held);
        let entry = self.sized(held + entry);
        self.file(OpenOptions::new().append(true))?.write_all(entry.as_bytes())
    }

    /// Appends an entry of the whole run.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add_of_run(&mut self, entry: &str) -> io::Result<()> {
        match &mut self.open {
            Some(OpenAnswer { place: Some(_), held, .. }) => {
                held.push_str(entry);
                held.push('\n');
                Ok(())
            }
            _ => {
                let open = self.open.take();
                let added = self.add(entry);
                self.open = open;
                added
            }
        }
    }

    /// The model begins to answer.
    pub fn open(&mut self, live: Arc<LiveAnswer>) {
        self.open = Some(OpenAnswer { live, place: None, held: String::new() });
    }

    /// The answer that is being written.
    pub fn answer(&self) -> Option<&LiveAnswer> {
        self.open.as_ref().map(|open| &*open.live)
    }

    /// Writes a piece of it, below a heading if it is the first one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_piece(
        &mut self,
        piece: &Piece,
        heading: impl FnOnce() -> String,
    ) -> io::Result<()> {
        if self.size > MAX_FILE {
            return Ok(());
        }
        let file = self.file(OpenOptions::new().write(true))?;
        let Some(open) = &mut self.open else { return Ok(()) };
        let (mut text, mut place) = match open.place {
            Some(place) => (String::new(), place),
            None => {
                let end = file.metadata()?.len();
                (format!("{}\n{INDENT}", heading()), Place { start: end, next: end })
            }
        };
        text.push_str(&piece.text);
        let from = place.next;
        place.next += text.len() as u64;
        text.push_str(&piece.end);
        text.push('\n');
        write_end(&file, from, &text)?;
        open.place = Some(place);
        Ok(())
    }

    /// Replaces it by the entry about the whole of it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn close(&mut self, entry: &str) -> io::Result<()> {
        match &mut self.open {
            Some(OpenAnswer { place: Some(place), held, .. }) => {
                let (start, held) = (place.start, std::mem::take(held));
                self.open = None;
                let entry = self.sized(held + entry);
                write_end(&self.file(OpenOptions::new().write(true))?, start, &entry)
            }
            _ => self.add(entry),
        }
    }

    /// The entry with what separates it from the next one; empty if the file is full.
    fn sized(&mut self, entry: String) -> String {
        if self.size > MAX_FILE {
            return String::new();
        }
        self.size += entry.len() + 1;
        match self.size > MAX_FILE {
            true => format!("\nThe trace ends here: {} MiB are full.\n", MAX_FILE >> 20),
            false => entry + "\n",
        }
    }

    fn file(&self, options: &mut OpenOptions) -> io::Result<File> {
        options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(&self.path)
    }
}

/// Writes the end of a file. What it replaces is there until then: nothing is lost in between.
fn write_end(file: &File, from: u64, text: &str) -> io::Result<()> {
    file.write_all_at(text.as_bytes(), from)?;
    file.set_len(from + text.len() as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn piece(text: &str, end: &str) -> Piece {
        Piece { text: text.into(), end: end.into() }
    }

    #[test]
    fn an_answer_is_written_in_pieces_and_then_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.md");
        let mut file = AgentFile::create(path.clone()).unwrap();
        let shows = |expected: &str| assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        let heading = || "## in progress\n".to_owned();
        file.add("# a\n").unwrap();
        for (answer, whole) in [("1", "## whole\n\n1\n"), ("2", "## whole\n\n22222222222222222\n")]
        {
            let before = fs::read_to_string(&path).unwrap();
            file.open(Arc::default());
            file.add_of_run("early\n").unwrap();
            file.write_piece(&piece("the", "[redacted]"), heading).unwrap();
            shows(&format!("{before}early\n\n## in progress\n\n    the[redacted]\n"));
            file.add_of_run("late\n").unwrap();
            file.write_piece(&piece(answer, ""), || unreachable!()).unwrap();
            shows(&format!("{before}early\n\n## in progress\n\n    the{answer}\n"));
            file.close(whole).unwrap();
            shows(&format!("{before}early\n\nlate\n\n{whole}\n"));
        }
        // An agent that ends without an entry for its answer.
        let before = fs::read_to_string(&path).unwrap();
        file.open(Arc::default());
        file.write_piece(&piece("x", ""), heading).unwrap();
        file.add("failed\n").unwrap();
        shows(&format!("{before}## in progress\n\n    x\nfailed\n\n"));
    }
}
