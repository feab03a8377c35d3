//! The lines of all parts in the order of the inputs.
//!
//! Only the places of the lines are held in memory, 24 bytes each. Parts are read twice: once for
//! the places, and once in their order.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::results::{LineHead, ResultsReader};
use super::run_file::FileError;
use super::survey::{PartFiles, Ranges, Survey, SurveyError, ranges};

/// Files that are open at once.
const MAX_OPEN: usize = 200;

/// The places of all lines of a batch.
#[derive(Debug)]
pub struct Merge {
    survey: Survey,
    /// In the order of the inputs.
    places: Vec<Place>,
    /// The files that were read, in the order of [`Survey::parts`].
    files: Vec<FileId>,
    faults: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    index: u64,
    offset: u64,
    length: u32,
    /// In [`Survey::parts`].
    file: u32,
}

/// Device and inode: a file that was replaced is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self(metadata.dev(), metadata.ino()))
    }
}

/// Why the lines were not written.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    #[error(transparent)]
    Read(#[from] FileError),
    #[error(
        "{0} was replaced while it was read: a process has begun to work on it; try again later"
    )]
    Replaced(String),
    #[error("cannot write the lines: {0}")]
    Write(io::Error),
}

impl Merge {
    /// Finds all lines.
    ///
    /// # Errors
    /// The folder or a file in it cannot be read.
    pub fn of(folder: &Path) -> Result<Self, SurveyError> {
        let survey = Survey::of(folder)?;
        let faults = survey.faults();
        let mut merge = Self { survey, places: Vec::new(), files: Vec::new(), faults };
        for file in 0..merge.survey.parts.len() {
            merge.find(file)?;
        }
        merge.places.sort_unstable_by_key(|place| (place.index, place.file, place.offset));
        merge.find_repeated();
        merge.find_gaps();
        Ok(merge)
    }

    /// Why these are not exactly the lines of all inputs, a sentence each.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Writes the lines.
    ///
    /// # Errors
    /// A file cannot be read any more, or the lines cannot be written.
    pub fn write(&self, out: &mut (impl Write + ?Sized)) -> Result<(), MergeError> {
        let mut open: Vec<Option<File>> = Vec::new();
        open.resize_with(self.files.len(), || None);
        let mut count = 0;
        let mut line = Vec::new();
        let mut out = BufWriter::with_capacity(1 << 18, out);
        for place in &self.places {
            let at = place.file as usize;
            if open[at].is_none() {
                if count == MAX_OPEN {
                    open.fill_with(|| None);
                    count = 0;
                }
                open[at] = Some(self.reopen(at)?);
                count += 1;
            }
            let Some(file) = &open[at] else { continue };
            line.resize(place.length as usize, 0);
            file.read_exact_at(&mut line, place.offset)
                .map_err(|error| FileError::read(&self.survey.parts[at].results, error))?;
            out.write_all(&line).map_err(MergeError::Write)?;
        }
        out.flush().map_err(MergeError::Write)
    }

    /// Notes the places of the lines of a part.
    fn find(&mut self, at: usize) -> Result<(), FileError> {
        let PartFiles { part, results: path, .. } = &self.survey.parts[at];
        let (part, mut is_own, mut offset, mut lines) = (*part, true, 0, 0);
        // It was there when the folder was read.
        let gone = || FileError::read(path, io::ErrorKind::NotFound.into());
        let mut results = ResultsReader::open(path)?.ok_or_else(gone)?;
        self.files.push(FileId::of(results.file()).map_err(|error| FileError::read(path, error))?);
        while let Some(head) = results.next::<LineHead<'_>>()? {
            is_own &= part.has_key(&head.key);
            let index = head.index;
            let length = results.end() - offset;
            // A line has at most a gibibyte, and there are fewer parts.
            let (length, file) = (length as u32, at as u32);
            self.places.push(Place { index, offset, length, file });
            offset = results.end();
            lines += 1;
        }
        if !is_own {
            self.faults.push(self.survey.parts[at].wrong_keys());
        }
        self.faults.extend(unfinished(&self.survey.parts[at], lines));
        Ok(())
    }

    /// Leaves one line for each input.
    fn find_repeated(&mut self) {
        let mut repeated = Vec::new();
        self.places.dedup_by(|one, first| {
            let is_repeated = one.index == first.index;
            if is_repeated {
                repeated.push(one.index);
            }
            is_repeated
        });
        repeated.dedup();
        if !repeated.is_empty() {
            let all = ranges(repeated);
            let all = Ranges(all.iter().copied());
            self.faults.push(format!("these inputs have several lines: {all} (counted from 0)"));
        }
    }

    /// Names the inputs without a line, unless all parts are complete: then they repeat others.
    fn find_gaps(&mut self) {
        let missing = &self.survey.missing;
        if !missing.is_empty() {
            let missing = ranges(missing.iter().map(|part| u64::from(part.number)));
            let (all, of) = (Ranges(missing.iter().copied()), self.survey.run.parts.partitions);
            self.faults.push(format!("there are no results of part {all} of {of}"));
        }
        if self.faults.is_empty() {
            return;
        }
        let mut gaps = Vec::new();
        let mut next = 0;
        for place in &self.places {
            if place.index > next {
                gaps.push((next, place.index - 1));
            }
            next = place.index.saturating_add(1);
        }
        if let Some(last) = self.survey.inputs().and_then(|inputs| inputs.checked_sub(1))
            && last >= next
        {
            gaps.push((next, last));
        }
        if !gaps.is_empty() {
            let all = Ranges(gaps.iter().copied());
            let text = "inputs that repeat others have none either";
            self.faults.push(format!("these inputs have no line: {all} (counted from 0; {text})"));
        }
    }

    fn reopen(&self, at: usize) -> Result<File, MergeError> {
        let path = &self.survey.parts[at].results;
        let read = |error| MergeError::Read(FileError::read(path, error));
        let file = File::open(path).map_err(read)?;
        match FileId::of(&file).map_err(read)? == self.files[at] {
            true => Ok(file),
            false => Err(MergeError::Replaced(path.display().to_string())),
        }
    }
}

/// The fault of a part that has too few lines.
fn unfinished(files: &PartFiles, lines: u64) -> Option<String> {
    let name = files.results.display();
    match files.state.keys {
        _ if files.is_running => Some(format!("a process is still working on {name}")),
        None => Some(format!("{name} is not finished: run the batch again")),
        Some(keys) if lines < keys => {
            Some(format!("{name} has {lines} lines of {keys}: run the batch again"))
        }
        Some(_) => None,
    }
}
