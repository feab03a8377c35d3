//! The open question on the terminal, and the display above it.

use std::fs::File;
use std::io::{self, Write};

use super::drawing::Drawing;
use super::pinned::{Pinned, discard_typed, is_line_typed};
use super::prompt::Prompt;
use super::shared::{Shared, write_chunks, write_frame};
use crate::render::question::QuestionText;

/// Writes prompts to the terminal, and the frame above them.
pub struct Asking {
    terminal: Option<File>,
    /// The open question, if the display is on the same terminal.
    open: Option<(QuestionText, Pinned)>,
}

impl Asking {
    pub fn new(terminal: Option<File>) -> Self {
        Self { terminal, open: None }
    }

    /// Whether the display is above an open question.
    pub fn is_pinned(&self) -> bool {
        self.open.is_some()
    }

    /// Columns and rows for the frame above the open question.
    pub fn room(&self) -> Option<(usize, usize)> {
        self.open.as_ref().map(|(_, pinned)| pinned.room())
    }

    /// What to write to replace the frame above the open question.
    pub fn redraw(&mut self, frame: &[String], size: (usize, usize)) -> Option<String> {
        let (_, pinned) = self.open.as_mut()?;
        let is_still = pinned.holds(size) && !is_line_typed();
        Some(if is_still { pinned.redraw(frame) } else { String::new() })
    }

    /// The cursor is somewhere else, at the start of a row.
    pub fn forget(&mut self) {
        self.open.iter_mut().for_each(|(_, pinned)| pinned.forget());
    }

    /// Draws the question and the frame anew if the terminal has another size now, or others have
    /// used it.
    ///
    /// # Errors
    /// stderr does not take the frame.
    pub fn follow(
        &mut self,
        drawing: &Drawing,
        shared: &Shared,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let size = drawing.size();
        let Some((question, pinned)) = &mut self.open else { return Ok(()) };
        if pinned.is_for(size) || is_line_typed() {
            return Ok(());
        }
        discard_typed();
        let text = question.on(size.0);
        let erase = pinned.erase(size.0);
        *pinned = Pinned::above(&text, size);
        let frame = shared.frame(&shared.lock().board, pinned.room());
        write_frame(shared, out, &(erase + &pinned.open(&frame)))?;
        match &mut self.terminal {
            Some(terminal) => write_chunks(shared, terminal, text.as_bytes()),
            None => Ok(()),
        }
    }

    /// If a question cannot be shown, the drop of its sender signals that.
    ///
    /// # Errors
    /// stderr does not take the frame.
    pub fn write(
        &mut self,
        prompt: Prompt,
        drawing: Option<&Drawing>,
        shared: &Shared,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let Some(terminal) = &mut self.terminal else { return Ok(()) };
        match prompt {
            Prompt::Open { question, width, shown } => {
                let text = question.on(width);
                let mut framed = Ok(());
                if let Some(mut pinned) = drawing.and_then(|drawing| drawing.pinned(&text)) {
                    let frame = shared.frame(&shared.lock().board, pinned.room());
                    framed = write_frame(shared, out, &pinned.open(&frame));
                    self.open = Some((question, pinned));
                }
                if write_chunks(shared, terminal, text.as_bytes()).is_ok() {
                    let _ = shown.send(());
                }
                return framed;
            }
            Prompt::More(text) => {
                let _ = write_chunks(shared, terminal, text.as_bytes());
                self.open.iter_mut().for_each(|(_, pinned)| pinned.grow(&text));
            }
            Prompt::Close(text) => {
                let _ = write_chunks(shared, terminal, text.as_bytes());
                let size = drawing.map(Drawing::size).unwrap_or_default();
                if let Some((_, pinned)) = self.open.take() {
                    write_frame(shared, out, &pinned.remove(&text, size))?;
                }
            }
        }
        Ok(())
    }
}
