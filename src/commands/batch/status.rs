//! `crew batch status`: what has become of the inputs.

use std::io;

use crate::batch::status::BatchStatus;
use crate::cli::BatchStatusArgs;
use crate::commands::invalid::failed;
use crate::exit::ExitStatus;
use crate::render::{self, Format, Screens};

pub fn status(args: &BatchStatusArgs) -> ExitStatus {
    let screens = Screens::new(args.color.color);
    let format: Format = args.output.into();
    let status = match BatchStatus::of(&args.folder) {
        Ok(status) => status,
        Err(error) => return failed(&error.into(), screens, format),
    };
    let mut out = io::stdout().lock();
    let written = match format {
        Format::Json => render::json(&status, &mut out),
        _ => render::batch_status(&status, screens.stdout.look(false), &mut out),
    };
    match written {
        Err(_) => ExitStatus::Unreported,
        Ok(()) if !status.faults.is_empty() => ExitStatus::Failure,
        Ok(()) => ExitStatus::Success,
    }
}
